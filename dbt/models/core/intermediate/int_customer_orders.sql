{{ config(rebuild_key=['customer_id'], indexes=[{'columns': ['customer_id'], 'unique': true}]) }}

with sales as (
    select
        customer_id,
        count(*) as orders,
        count(net_sales) as valued_orders,
        sum(units) as units,
        coalesce(sum(net_sales), 0) as net_sales,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        min(ordered_at) as first_order_at,
        max(ordered_at) as last_order_at
    from {{ ref('fact_orders') }}
    where is_sale and {{ exact.affected('customer_id') }}
    group by customer_id
),

refunds as (
    select
        orders.customer_id,
        sum(payments.refunded_goods_amount) as refunds
    from {{ ref('fact_orders') }} as orders
    inner join {{ ref('fact_payments') }} as payments on orders.order_id = payments.order_id
    where payments.refunded_goods_amount is not null and {{ exact.affected('orders.customer_id') }}
    group by orders.customer_id
)

select
    sales.customer_id,
    cast(sales.orders as integer) as orders,
    cast(sales.valued_orders as integer) as valued_orders,
    cast(sales.units as bigint) as units,
    cast(sales.net_sales as numeric(38, 4)) as net_sales,
    cast(coalesce(refunds.refunds, 0) as numeric(38, 4)) as refunds,
    cast(sales.net_sales - coalesce(refunds.refunds, 0) as numeric(38, 4)) as net_revenue,
    sales.first_order_date,
    sales.last_order_date,
    sales.first_order_at,
    sales.last_order_at
from sales
left join refunds on sales.customer_id = refunds.customer_id

-- The keys that a change upstream affects: the customer of the order, also of a refunded one.
{{ exact.affected_by('fact_orders', ['customer_id']) }}
{% call exact.affected_when() %}
    select orders.customer_id
    from {{ exact.changes('fact_payments') }}
    inner join {{ ref('fact_orders') }} as orders on changes.order_id = orders.order_id
{% endcall %}
