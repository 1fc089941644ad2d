{{
    config(
        unit=['order_id'],
        feed=['order_id', 'order_date'],
        indexes=[
            {'columns': ['order_id'], 'unique': true},
            {'columns': ['order_date']},
            {'columns': ['customer_id', 'ordered_at']},
        ],
    )
}}

{{ touched_by('stg_orders', ['order_id']) }}
{{ touched_by('stg_order_items', ['order_id']) }}

{% call touched_when() %}
    select orders.order_id
    from {{ changes('dim_users') }}
    inner join {{ ref('stg_orders') }} as orders
        on changes.user_id = orders.user_id and {{ valid_at('changes', 'orders.ordered_at') }}
{% endcall %}

{% call touched_when() %}
    select orders.order_id
    from {{ changes('dim_customers') }}
    inner join {{ ref('stg_orders') }} as orders
        on changes.customer_id = orders.customer_id and {{ valid_at('changes', 'orders.ordered_at') }}
{% endcall %}

with orders as (
    select * from {{ ref('stg_orders') }}
    where {{ touched('order_id') }}
),

items as (
    select
        order_id,
        count(*) as items,
        sum(quantity) as units,
        sum(quantity * unit_price) as gross_amount,
        sum(discount_amount) as discount_amount
    from {{ ref('stg_order_items') }}
    where {{ touched('order_id') }}
    group by order_id
),

users as (
    select * from {{ ref('dim_users') }}
),

customers as (
    select * from {{ ref('dim_customers') }}
),

amounts as (
    select
        orders.*,
        coalesce(items.items, 0) as items,
        coalesce(items.units, 0) as units,
        coalesce(items.gross_amount, 0) as gross_amount,
        orders.discount_amount + coalesce(items.discount_amount, 0) as total_discount_amount
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
    amounts.currency,
    amounts.shipping_country,
    amounts.items > 0 and coalesce(amounts.status, '') not in ('cancelled', 'canceled') as is_sale,
    cast(amounts.items as integer) as items,
    cast(amounts.units as bigint) as units,
    cast(amounts.gross_amount as numeric(38, 4)) as gross_amount,
    cast(amounts.discount_amount as numeric(38, 4)) as order_discount_amount,
    cast(amounts.total_discount_amount as numeric(38, 4)) as discount_amount,
    cast(amounts.gross_amount - amounts.total_discount_amount as numeric(38, 4)) as net_amount,
    cast(amounts.shipping_amount as numeric(38, 4)) as shipping_amount,
    cast(amounts.tax_amount as numeric(38, 4)) as tax_amount,
    cast(
        amounts.gross_amount - amounts.total_discount_amount + amounts.shipping_amount + amounts.tax_amount
        as numeric(38, 4)
    ) as total_amount,
    amounts.order_date,
    amounts.ordered_at
from amounts
left join customers
    on amounts.customer_id = customers.customer_id and {{ valid_at('customers', 'amounts.ordered_at') }}
left join users
    on amounts.user_id = users.user_id and {{ valid_at('users', 'amounts.ordered_at') }}
