{{
    config(
        rebuild_key=['product_id', 'stock_date'],
        indexes=[
            {'columns': ['product_id', 'stock_date'], 'unique': true},
            {'columns': ['stock_date']},
        ],
    )
}}

with costed as (
    select
        inventory.product_id,
        inventory.stock_date,
        coalesce(products.product_sk, {{ unknown_key() }}) as product_sk,
        inventory.on_hand,
        inventory.received,
        products.unit_cost as unit_cost_amount,
        {{ own_or_reporting_currency('products.currency') }} as cost_currency
    from {{ ref('stg_inventory') }} as inventory
    left join {{ ref('dim_products') }} as products
        on
            inventory.product_id = products.product_id
            and {{ valid_at('products', end_of_day('inventory.stock_date')) }}
    where {{ exact.affected('inventory.product_id', 'inventory.stock_date') }}
)

select
    costed.product_id,
    costed.stock_date,
    costed.product_sk,
    costed.on_hand,
    costed.received,
    costed.cost_currency,
    {{ in_reporting_currency('costed.unit_cost_amount', 'rates.rate') }} as unit_cost,
    {{ in_reporting_currency('costed.on_hand * costed.unit_cost_amount', 'rates.rate') }}
        as inventory_value
from costed
left join {{ ref('int_exchange_rates') }} as rates
    on costed.cost_currency = rates.currency and {{ valid_at('rates', 'costed.stock_date') }}

-- The keys that a change upstream affects. The product affects the stock levels whose currency it
-- changes: their cost is that of its version at the end of the day.
{{ exact.affected_by('stg_inventory', ['product_id', 'stock_date']) }}
{{ affected_by_rates(this, 'stock_date', ['product_id', 'stock_date'], currency='cost_currency') }}
{% call exact.affected_when() %}
    select inventory.product_id, inventory.stock_date
    from {{ exact.changes('dim_products') }}
    inner join {{ ref('stg_inventory') }} as inventory
        on
            changes.product_id = inventory.product_id
            and inventory.stock_date >= {{ day_of('changes.valid_from') }}
            and {{ valid_at('changes', end_of_day('inventory.stock_date')) }}
{% endcall %}
