{{
    config(
        rebuild_key=['order_id'],
        change_log=['order_id', 'order_date'],
        indexes=[{'columns': ['order_id', 'method'], 'unique': true}, {'columns': ['order_date']}],
    )
}}

with charges as (
    select
        order_id,
        coalesce(method, 'unknown') as method,
        sum(reporting_amount) as charged
    from {{ ref('fact_payments') }}
    where
        kind = 'charge'
        and is_settled
        and reporting_amount > 0
        and {{ exact.affected('order_id') }}
    group by order_id, coalesce(method, 'unknown')
),

-- An order without settlements has one part: the whole order.
settlements as (
    select
        orders.order_id,
        orders.order_date,
        orders.net_sales,
        coalesce(charges.method, 'unpaid') as method,
        coalesce(charges.charged, 1) as charged
    from {{ ref('fact_orders') }} as orders
    left join charges on orders.order_id = charges.order_id
    where orders.is_sale and {{ exact.affected('orders.order_id') }}
)

select
    order_id,
    method,
    order_date,
    {{ share_of('net_sales', 'charged', 'order_id', 'method') }} as net_sales
from settlements

-- The keys that a change upstream affects.
{{ exact.affected_by('fact_orders', ['order_id']) }}
{% call exact.affected_when() %}
    select changes.order_id
    from {{ exact.changes('fact_payments') }}
    where changes.order_id is not null
{% endcall %}
