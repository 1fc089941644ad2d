{#-
  A view, as each fact has an index of these rows alone. They heal when the dimension arrives, and are gone from here then.
-#}
{% set references = [
    ('fact_events', 'user_id', 'user_sk', 'event_date'),
    ('fact_sessions', 'user_id', 'user_sk', 'session_date'),
    ('fact_sessions', 'customer_id', 'customer_sk', 'session_date'),
    ('fact_orders', 'user_id', 'user_sk', 'order_date'),
    ('fact_orders', 'customer_id', 'customer_sk', 'order_date'),
    ('fact_order_items', 'product_id', 'product_sk', 'order_date'),
    ('fact_returns', 'order_item_id', 'product_sk', 'returned_date'),
    ('fact_inventory_daily', 'product_id', 'product_sk', 'stock_date'),
    ('fact_subscription_periods', 'customer_id', 'customer_sk', 'period_start'),
] %}

{% for fact, key, sk, day in references %}
select
    {{ day }} as fact_date,
    '{{ fact }}' as fact,
    '{{ sk | replace("_sk", "") }}' as dimension,
    cast(count(*) as bigint) as facts
from {{ ref(fact) }}
where {{ sk }} = {{ unknown_key() }} and {{ key }} is not null
group by {{ day }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
