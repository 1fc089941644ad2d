{{
    config(
        rebuild_key=['order_id'],
        change_log=['order_item_id', 'order_id', 'product_id', 'order_date'],
        indexes=[
            {'columns': ['order_item_id'], 'unique': true},
            {'columns': ['order_id']},
            {'columns': ['order_date']},
            {'columns': ['product_id', 'order_date']},
        ],
    )
}}

-- An item that landed before its order becomes a fact when the order comes.
{{ affected_by('stg_order_items', ['order_id']) }}
{{ affected_by('stg_orders', ['order_id']) }}

-- Another version of a product, such as a new price, moves the lines of its time. New lines are affected already.
{% call affected_when() %}
    select items.order_id
    from {{ changes('dim_products') }}
    inner join {{ this }} as items
        on
            changes.product_id = items.product_id
            and items.order_date >= {{ day_of('changes.valid_from') }}  -- for the index
            and {{ valid_at('changes', 'items.ordered_at') }}
{% endcall %}

{% call affected_when() %}
    select orders.order_id
    from {{ changes('dim_customers') }}
    inner join {{ ref('stg_orders') }} as orders
        on changes.customer_id = orders.customer_id and {{ valid_at('changes', 'orders.ordered_at') }}
{% endcall %}

-- A rate values what was ordered in its currency, and the costs of the products that are priced in it.
{% call affected_when() %}
    select orders.order_id
    from {{ changes('int_exchange_rates') }}
    inner join {{ ref('stg_orders') }} as orders
        on changes.currency = orders.currency and {{ valid_at('changes', 'orders.order_date') }}
    where {{ within_changed('int_exchange_rates', 'orders.order_date') }}
    union
    select items.order_id
    from {{ changes('int_exchange_rates') }}
    inner join {{ ref('stg_orders') }} as orders on {{ valid_at('changes', 'orders.order_date') }}
    inner join {{ ref('stg_order_items') }} as items on orders.order_id = items.order_id
    inner join {{ ref('dim_products') }} as products
        on items.product_id = products.product_id and changes.currency = products.currency
    where {{ within_changed('int_exchange_rates', 'orders.order_date') }}
{% endcall %}

with items as (
    select
        *,
        quantity * unit_price as gross_amount
    from {{ ref('stg_order_items') }}
    where {{ affected('order_id') }}
),

orders as (
    select
        *,
        coalesce(currency, '{{ var("reporting_currency") }}') as order_currency
    from {{ ref('stg_orders') }}
    where {{ affected('order_id') }}
),

products as (
    select
        *,
        coalesce(currency, '{{ var("reporting_currency") }}') as cost_currency
    from {{ ref('dim_products') }}
),

ordered as (
    select
        items.order_item_id,
        items.order_id,
        orders.customer_id,
        coalesce(customers.customer_sk, {{ unknown_key() }}) as customer_sk,
        items.product_id,
        coalesce(products.product_sk, {{ unknown_key() }}) as product_sk,
        orders.order_currency as currency,
        {{ is_not_cancelled('orders.status') }} as is_sale,
        items.quantity,
        items.unit_price,
        items.gross_amount,
        items.discount_amount,
        {{ in_reporting_currency('items.gross_amount', 'rates.rate') }} as gross_revenue,
        {{ in_reporting_currency('items.discount_amount', 'rates.rate') }} as item_discounts,
        {{ in_reporting_currency('orders.discount_amount', 'rates.rate') }} as order_discounts,
        {{ in_reporting_currency('items.quantity * products.unit_cost', 'cost_rates.rate') }} as cost,
        orders.order_date,
        orders.ordered_at
    from items
    inner join orders on items.order_id = orders.order_id
    left join {{ ref('dim_customers') }} as customers
        on orders.customer_id = customers.customer_id and {{ valid_at('customers', 'orders.ordered_at') }}
    left join products
        on items.product_id = products.product_id and {{ valid_at('products', 'orders.ordered_at') }}
    left join {{ ref('int_exchange_rates') }} as rates
        on orders.order_currency = rates.currency and {{ valid_at('rates', 'orders.order_date') }}
    left join {{ ref('int_exchange_rates') }} as cost_rates
        on products.cost_currency = cost_rates.currency and {{ valid_at('cost_rates', 'orders.order_date') }}
),

discounted as (
    select
        *,
        item_discounts + {{ share_of('order_discounts', 'gross_amount', 'order_id', 'order_item_id') }} as discounts
    from ordered
)

select
    order_item_id,
    order_id,
    customer_id,
    customer_sk,
    product_id,
    product_sk,
    currency,
    is_sale,
    quantity,
    unit_price,
    cast(gross_amount as numeric(38, 4)) as gross_amount,
    discount_amount,
    cast(gross_amount - discount_amount as numeric(38, 4)) as net_amount,
    gross_revenue,
    cast(discounts as numeric(38, 4)) as discounts,
    cast(gross_revenue - discounts as numeric(38, 4)) as net_sales,
    cast(coalesce(cost, 0) as numeric(38, 4)) as cost,
    order_date,
    ordered_at
from discounted
