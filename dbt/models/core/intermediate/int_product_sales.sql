{{
    config(
        rebuild_key=['month_start', 'product_id'],
        indexes=[{'columns': ['month_start', 'product_id'], 'unique': true}],
    )
}}

select
    {{ period_of('month', 'order_date') }} as month_start,
    product_id,
    cast(count(distinct order_id) as integer) as orders,
    cast(sum(quantity) as bigint) as units,
    -- An order without a rate has no value in the reporting currency.
    cast(coalesce(sum(gross_revenue), 0) as numeric(38, 4)) as gross_revenue,
    cast(coalesce(sum(discounts), 0) as numeric(38, 4)) as discounts,
    cast(coalesce(sum(net_sales), 0) as numeric(38, 4)) as net_sales,
    cast(sum(cost) as numeric(38, 4)) as cost
from {{ ref('fact_order_items') }}
where
    is_sale
    and {{ within_affected('month', 'order_date') }}
    and {{ exact.affected(period_of('month', 'order_date'), 'product_id') }}
group by 1, 2

-- The keys that a change upstream affects.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.order_date') }}, changes.product_id
    from {{ exact.changes('fact_order_items') }}
{% endcall %}
