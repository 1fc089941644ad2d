{{
    config(
        unit=['order_item_id'],
        feed=['order_item_id', 'order_id', 'order_date'],
        indexes=[
            {'columns': ['order_item_id'], 'unique': true},
            {'columns': ['order_id']},
            {'columns': ['order_date']},
        ],
    )
}}

{{ touched_by('stg_order_items', ['order_item_id']) }}

-- An item that landed before its order becomes a fact when the order comes.
{% call touched_when() %}
    select items.order_item_id
    from {{ changes('fact_orders') }}
    inner join {{ ref('stg_order_items') }} as items on changes.order_id = items.order_id
{% endcall %}

{% call touched_when() %}
    select items.order_item_id
    from {{ changes('dim_products') }}
    inner join {{ ref('stg_order_items') }} as items on changes.product_id = items.product_id
    inner join {{ ref('fact_orders') }} as orders
        on items.order_id = orders.order_id and {{ valid_at('changes', 'orders.ordered_at') }}
{% endcall %}

with items as (
    select * from {{ ref('stg_order_items') }}
    where {{ touched('order_item_id') }}
),

orders as (
    select * from {{ ref('fact_orders') }}
),

products as (
    select * from {{ ref('dim_products') }}
)

select
    items.order_item_id,
    items.order_id,
    orders.customer_id,
    items.product_id,
    coalesce(products.product_sk, {{ unknown_key() }}) as product_sk,
    orders.currency,
    orders.is_sale,
    items.quantity,
    items.unit_price,
    cast(items.quantity * items.unit_price as numeric(38, 4)) as gross_amount,
    items.discount_amount,
    cast(items.quantity * items.unit_price - items.discount_amount as numeric(38, 4)) as net_amount,
    cast(items.quantity * coalesce(products.unit_cost, 0) as numeric(38, 4)) as cost_amount,
    orders.order_date,
    orders.ordered_at
from items
inner join orders on items.order_id = orders.order_id
left join products
    on items.product_id = products.product_id and {{ valid_at('products', 'orders.ordered_at') }}
