{{
    config(
        rebuild_key=['order_id'],
        change_log=['order_id', 'ordered_on'],
        indexes=[{'columns': ['order_id'], 'unique': true}, {'columns': ['ordered_on']}],
    )
}}

-- `orders` is a view: it changes when base_orders changes.
{{ exact.affected_by('orders', ['order_id']) }}

-- A price affects the orders in its time.
{% call exact.affected_when() %}
    select orders.order_id
    from {{ exact.changes('prices') }}
    inner join {{ ref('orders') }} as orders
        on
            changes.product_id = orders.product_id
            and orders.ordered_on >= changes.valid_from
            and (changes.valid_to is null or orders.ordered_on < changes.valid_to)
    where {{ exact.within_changed('prices', 'orders.ordered_on') }}
{% endcall %}

select
    orders.order_id,
    orders.product_id,
    orders.ordered_on,
    orders.quantity * prices.price as amount
from {{ ref('orders') }} as orders
left join {{ ref('prices') }} as prices
    on
        orders.product_id = prices.product_id
        and orders.ordered_on >= prices.valid_from
        and (prices.valid_to is null or orders.ordered_on < prices.valid_to)
where {{ exact.affected('orders.order_id') }}
