{{
    config(
        materialized='landed',
        source='products',
        key=['product_id', 'updated_at'],
        feed=['product_id'],
        indexes=[
            {'columns': ['product_id', 'updated_at']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ column_text('product_id') }} as product_id,
        {{ column_text('updated_at') }} as updated_at,
        {{ column_text('name') }} as name,
        {{ column_text('category') }} as category,
        {{ column_text('unit_price') }} as unit_price,
        {{ column_text('unit_cost') }} as unit_cost,
        {{ column_text('currency') }} as currency,
        {{ column_text('is_active') }} as is_active,
        {{ columns_original(['product_id', 'updated_at', 'name', 'category', 'unit_price', 'unit_cost', 'currency', 'is_active']) }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'products') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        product_id,
        updated_at as raw_updated_at,
        {{ read_timestamp('updated_at') }} as updated_at,
        name,
        lower(category) as category,
        {{ read_decimal('unit_price') }} as unit_price,
        {{ read_decimal('unit_cost') }} as unit_cost,
        upper(currency) as currency,
        coalesce({{ read_boolean('is_active') }}, true) as is_active,
        unit_price as raw_unit_price,
        unit_cost as raw_unit_cost,
        is_active as raw_is_active,
        original,
        _landed_on,
        _file,
        _line,
        _load_id
    from raw_rows
),

judged as (
    select
        *,
        case
            when product_id is null then 'product_id_missing'
            when raw_updated_at is null then 'updated_at_missing'
            when updated_at is null then 'updated_at_unreadable'
            when {{ day_of('updated_at') }} < cast('{{ var("earliest_day") }}' as date) then 'updated_at_too_early'
            when {{ day_of('updated_at') }} > {{ plus_days('_landed_on', 1) }} then 'updated_at_in_the_future'
            when unit_price < 0 then 'unit_price_negative'
            when unit_cost < 0 then 'unit_cost_negative'
            when raw_unit_price is not null and {{ read_decimal('raw_unit_price') }} is null then 'unit_price_unreadable'
            when raw_unit_cost is not null and {{ read_decimal('raw_unit_cost') }} is null then 'unit_cost_unreadable'
            when raw_is_active is not null and {{ read_boolean('raw_is_active') }} is null then 'is_active_unreadable'
        end as _reject_rule
    from typed
)

select
    product_id,
    updated_at,
    name,
    category,
    unit_price,
    unit_cost,
    currency,
    is_active,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
