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

with ordered as (
    select
        items.order_item_id,
        items.order_id,
        orders.customer_id,
        items.product_id,
        coalesce(products.product_sk, {{ unknown_key() }}) as product_sk,
        {{ own_or_reporting_currency('orders.currency') }} as currency,
        {{ own_or_reporting_currency('products.currency') }} as cost_currency,
        not coalesce(statuses.is_cancelled, false) as is_sale,
        items.quantity,
        items.unit_price,
        items.quantity * items.unit_price as gross_amount,
        items.discount_amount,
        orders.discount_amount as order_amount_off,
        items.quantity * products.unit_cost as cost_amount,
        orders.order_date,
        orders.ordered_at
    from {{ ref('stg_order_items') }} as items
    inner join {{ ref('stg_orders') }} as orders on items.order_id = orders.order_id
    left join {{ ref('order_statuses') }} as statuses on orders.status = statuses.status
    left join {{ ref('dim_products') }} as products
        on
            items.product_id = products.product_id
            and {{ valid_at('products', 'orders.ordered_at') }}
    where {{ exact.affected('items.order_id') }} and {{ exact.affected('orders.order_id') }}
),

converted as (
    select
        ordered.*,
        {{ in_reporting_currency('ordered.gross_amount', 'rates.rate') }} as gross_revenue,
        {{ in_reporting_currency('ordered.discount_amount', 'rates.rate') }} as item_discounts,
        {{ in_reporting_currency('ordered.order_amount_off', 'rates.rate') }} as order_discount,
        {{ in_reporting_currency('ordered.cost_amount', 'cost_rates.rate') }} as cost
    from ordered
    left join {{ ref('int_exchange_rates') }} as rates
        on ordered.currency = rates.currency and {{ valid_at('rates', 'ordered.order_date') }}
    left join {{ ref('int_exchange_rates') }} as cost_rates
        on
            ordered.cost_currency = cost_rates.currency
            and {{ valid_at('cost_rates', 'ordered.order_date') }}
),

discounted as (
    select
        *,
        item_discounts
        + {{ share_of('order_discount', 'gross_amount', 'order_id', 'order_item_id') }} as discounts
    from converted
)

select
    items.order_item_id,
    items.order_id,
    items.customer_id,
    coalesce(customers.customer_sk, {{ unknown_key() }}) as customer_sk,
    items.product_id,
    items.product_sk,
    items.currency,
    items.is_sale,
    items.quantity,
    items.unit_price,
    cast(items.gross_amount as numeric(38, 4)) as gross_amount,
    items.discount_amount,
    cast(items.gross_amount - items.discount_amount as numeric(38, 4)) as net_amount,
    items.gross_revenue,
    cast(items.discounts as numeric(38, 4)) as discounts,
    cast(items.gross_revenue - items.discounts as numeric(38, 4)) as net_sales,
    cast(coalesce(items.cost, 0) as numeric(38, 4)) as cost,
    items.order_date,
    items.ordered_at
from discounted as items
left join {{ ref('dim_customers') }} as customers
    on items.customer_id = customers.customer_id and {{ valid_at('customers', 'items.ordered_at') }}

-- The keys that a change upstream affects. An item that landed before its order becomes a fact with
-- the order. A version of a product affects the lines of its time; a rate, also the costs in it.
{{ exact.affected_by('stg_order_items', ['order_id']) }}
{{ exact.affected_by('stg_orders', ['order_id']) }}
{{ affected_by_versions(
    'dim_customers', ref('stg_orders'), 'customer_id', 'ordered_at', ['order_id']
) }}
{{ affected_by_rates(ref('stg_orders'), 'order_date', ['order_id']) }}
{% call exact.affected_when() %}
    select items.order_id
    from {{ exact.changes('dim_products') }}
    inner join {{ this }} as items
        on
            changes.product_id = items.product_id
            and items.order_date >= {{ day_of('changes.valid_from') }}  -- for the index
            and {{ valid_at('changes', 'items.ordered_at') }}
    union
    select items.order_id
    from {{ exact.changes('int_exchange_rates') }}
    inner join {{ ref('stg_orders') }} as orders on {{ valid_at('changes', 'orders.order_date') }}
    inner join {{ ref('stg_order_items') }} as items on orders.order_id = items.order_id
    inner join {{ ref('dim_products') }} as products
        on items.product_id = products.product_id and changes.currency = products.currency
    where {{ exact.within_changed('int_exchange_rates', 'orders.order_date') }}
{% endcall %}
