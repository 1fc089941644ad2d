{{
    config(
        rebuild_key=['month_start'],
        indexes=[{'columns': ['month_start', 'country'], 'unique': true}],
    )
}}

with sales as (
    select
        {{ period_of('month', 'order_date') }} as month_start,
        coalesce(shipping_country, 'unknown') as country,
        count(*) as orders,
        count(gross_revenue) as valued_orders,
        count(distinct customer_id) as customers,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts
    from {{ ref('fact_orders') }}
    where is_sale and {{ within_affected('month', 'order_date') }}
    group by 1, 2
),

refunds as (
    select
        {{ period_of('month', 'payments.paid_date') }} as month_start,
        coalesce(orders.shipping_country, 'unknown') as country,
        sum(payments.refunded_goods_amount) as refunds
    from {{ ref('fact_payments') }} as payments
    inner join {{ ref('fact_orders') }} as orders on payments.order_id = orders.order_id
    where
        payments.refunded_goods_amount is not null
        and {{ within_affected('month', 'payments.paid_date') }}
    group by 1, 2
),

figures as (
    select
        coalesce(sales.month_start, refunds.month_start) as month_start,
        coalesce(sales.country, refunds.country) as country,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.valued_orders, 0) as valued_orders,
        coalesce(sales.customers, 0) as customers,
        coalesce(sales.units, 0) as units,
        coalesce(sales.gross_revenue, 0) as gross_revenue,
        coalesce(sales.discounts, 0) as discounts,
        coalesce(refunds.refunds, 0) as refunds
    from sales
    full join refunds
        on sales.month_start = refunds.month_start and sales.country = refunds.country
)

select
    figures.month_start,
    figures.country,
    coalesce(countries.name, 'Unknown') as country_name,
    cast(figures.orders as integer) as orders,
    cast(figures.valued_orders as integer) as valued_orders,
    cast(figures.customers as integer) as customers,
    cast(figures.units as bigint) as units,
    cast(figures.gross_revenue as numeric(38, 4)) as gross_revenue,
    cast(figures.discounts as numeric(38, 4)) as discounts,
    cast(figures.refunds as numeric(38, 4)) as refunds,
    cast(figures.gross_revenue - figures.discounts - figures.refunds as numeric(38, 4))
        as net_revenue
from figures
left join {{ ref('countries') }} as countries on figures.country = countries.code
where {{ exact.affected('figures.month_start') }}

-- The keys that a change upstream affects. A refund counts for the country of its order, in its own
-- month.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.order_date') }} from {{ exact.changes('fact_orders') }}
    union
    select {{ period_of('month', 'changes.paid_date') }} from {{ exact.changes('fact_payments') }}
    union
    select {{ period_of('month', 'payments.paid_date') }}
    from {{ exact.changes('fact_orders') }}
    inner join {{ ref('fact_payments') }} as payments on changes.order_id = payments.order_id
    where payments.refunded_goods_amount is not null
{% endcall %}
