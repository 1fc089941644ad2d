{{
    config(
        rebuild_key=['order_id'],
        change_log=['order_id', 'customer_id', 'order_date'],
        indexes=[
            {'columns': ['order_id'], 'unique': true},
            {'columns': ['order_date']},
            {'columns': ['customer_id', 'ordered_at']},
        ],
    )
}}

with orders as (
    select
        *,
        {{ own_or_reporting_currency('currency') }} as order_currency
    from {{ ref('stg_orders') }}
    where {{ exact.affected('order_id') }}
),

items as (
    select
        order_id,
        count(*) as items,
        sum(quantity) as units,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(cost) as cost
    from {{ ref('fact_order_items') }}
    where {{ exact.affected('order_id') }}
    group by order_id
),

-- An order without a rate has no value, and one without items has nothing to convert.
amounts as (
    select
        orders.*,
        coalesce(items.items, 0) as items,
        coalesce(items.units, 0) as units,
        coalesce(items.gross_amount, 0) as gross_amount,
        orders.discount_amount + coalesce(items.discount_amount, 0) as total_discount_amount,
        case when items.order_id is null then 0 else items.gross_revenue end as gross_revenue,
        case when items.order_id is null then 0 else items.discounts end as discounts,
        coalesce(items.cost, 0) as cost
    from orders
    left join items on orders.order_id = items.order_id
)

select
    amounts.order_id,
    amounts.customer_id,
    coalesce(customers.customer_sk, {{ unknown_key() }}) as customer_sk,
    amounts.user_id,
    coalesce(users.user_sk, {{ unknown_key() }}) as user_sk,
    amounts.status,
    amounts.order_currency as currency,
    rates.rate as exchange_rate,
    amounts.shipping_country,
    amounts.items > 0 and not coalesce(statuses.is_cancelled, false) as is_sale,
    cast(amounts.items as integer) as items,
    cast(amounts.units as bigint) as units,
    cast(amounts.gross_amount as numeric(38, 4)) as gross_amount,
    cast(amounts.discount_amount as numeric(38, 4)) as order_discount_amount,
    cast(amounts.total_discount_amount as numeric(38, 4)) as discount_amount,
    cast(amounts.gross_amount - amounts.total_discount_amount as numeric(38, 4)) as net_amount,
    cast(amounts.shipping_amount as numeric(38, 4)) as shipping_amount,
    cast(amounts.tax_amount as numeric(38, 4)) as tax_amount,
    cast(
        amounts.gross_amount - amounts.total_discount_amount
        + amounts.shipping_amount + amounts.tax_amount
        as numeric(38, 4)
    ) as total_amount,
    cast(amounts.gross_revenue as numeric(38, 4)) as gross_revenue,
    cast(amounts.discounts as numeric(38, 4)) as discounts,
    cast(amounts.gross_revenue - amounts.discounts as numeric(38, 4)) as net_sales,
    cast(amounts.cost as numeric(38, 4)) as cost,
    amounts.order_date,
    amounts.ordered_at
from amounts
left join {{ ref('order_statuses') }} as statuses on amounts.status = statuses.status
left join {{ ref('dim_customers') }} as customers
    on
        amounts.customer_id = customers.customer_id
        and {{ valid_at('customers', 'amounts.ordered_at') }}
left join {{ ref('dim_users') }} as users
    on amounts.user_id = users.user_id and {{ valid_at('users', 'amounts.ordered_at') }}
left join {{ ref('int_exchange_rates') }} as rates
    on amounts.order_currency = rates.currency and {{ valid_at('rates', 'amounts.order_date') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('stg_orders', ['order_id']) }}
{{ exact.affected_by('fact_order_items', ['order_id']) }}
{{ affected_by_versions('dim_users', ref('stg_orders'), 'user_id', 'ordered_at', ['order_id']) }}
{{ affected_by_versions(
    'dim_customers', ref('stg_orders'), 'customer_id', 'ordered_at', ['order_id']
) }}
{{ affected_by_rates(ref('stg_orders'), 'order_date', ['order_id']) }}
