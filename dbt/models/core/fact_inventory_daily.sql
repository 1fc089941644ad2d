{{
    config(
        rebuild_key=['product_id', 'stock_date'],
        indexes=[
            {'columns': ['product_id', 'stock_date'], 'unique': true},
            {'columns': ['stock_date']},
        ],
    )
}}

{{ affected_by('stg_inventory', ['product_id', 'stock_date']) }}

-- Another version at the end of a day has another cost.
{% call affected_when() %}
    select inventory.product_id, inventory.stock_date
    from {{ changes('dim_products') }}
    inner join {{ ref('stg_inventory') }} as inventory
        on changes.product_id = inventory.product_id
        and inventory.stock_date >= {{ day_of('changes.valid_from') }}
        and {{ valid_at('changes', end_of_day('inventory.stock_date')) }}
{% endcall %}

-- A day whose currency is another one by now is affected by its product.
{% call affected_when() %}
    select held.product_id, held.stock_date
    from {{ changes('int_exchange_rates') }}
    inner join {{ this }} as held
        on changes.currency = held.cost_currency and {{ valid_at('changes', 'held.stock_date') }}
    where {{ within_changed('int_exchange_rates', 'held.stock_date') }}
{% endcall %}

with inventory as (
    select * from {{ ref('stg_inventory') }}
    where {{ affected('product_id', 'stock_date') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

costed as (
    select
        inventory.product_id,
        inventory.stock_date,
        coalesce(products.product_sk, {{ unknown_key() }}) as product_sk,
        inventory.on_hand,
        inventory.received,
        products.unit_cost as unit_cost_amount,
        coalesce(products.currency, '{{ var("reporting_currency") }}') as cost_currency
    from inventory
    left join products
        on inventory.product_id = products.product_id and {{ valid_at('products', end_of_day('inventory.stock_date')) }}
)

select
    costed.product_id,
    costed.stock_date,
    costed.product_sk,
    costed.on_hand,
    costed.received,
    costed.cost_currency,
    {{ in_reporting_currency('costed.unit_cost_amount', 'rates.rate') }} as unit_cost,
    {{ in_reporting_currency('costed.on_hand * costed.unit_cost_amount', 'rates.rate') }} as inventory_value
from costed
left join rates on costed.cost_currency = rates.currency and {{ valid_at('rates', 'costed.stock_date') }}
