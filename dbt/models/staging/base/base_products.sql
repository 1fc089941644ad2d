{{
    config(
        materialized='landed',
        source='products',
        key=['product_id', 'updated_at'],
        change_log=['product_id'],
        indexes=[
            {'columns': ['product_id', 'updated_at']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = ['product_id', 'updated_at', 'name', 'category', 'unit_price', 'unit_cost', 'currency', 'is_active'] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'products'), columns) }}
),

typed as (
    select
        {{ key_text('product_id') }} as product_id,
        {{ read_timestamp('updated_at') }} as updated_at,
        {{ one_line('name') }} as name,
        {{ tidy('category') }} as category,
        {{ read_decimal('unit_price') }} as unit_price,
        {{ read_decimal('unit_cost') }} as unit_cost,
        {{ currency_code('currency') }} as currency,
        {{ read_boolean('is_active') }} as is_active,
        updated_at as raw_updated_at,
        unit_price as raw_unit_price,
        unit_cost as raw_unit_cost,
        is_active as raw_is_active,
        currency as raw_currency,
        _original,
        _landed_on,
        _file,
        _line,
        _load_id
    from raw_rows
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['product_id']) }}
            {{ reject_too_long(['product_id']) }}
            {{ reject_missing(['raw_updated_at']) }}
            {{ reject_unreadable(['updated_at', 'unit_price', 'unit_cost', 'is_active']) }}
            {{ reject_unknown_currency(['currency']) }}
            {{ reject_absurd_time(['updated_at']) }}
            {{ reject_negative(['unit_price', 'unit_cost']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    product_id,
    updated_at,
    name,
    category,
    unit_price,
    unit_cost,
    currency,
    coalesce(is_active, true) as is_active,
    {{ verdict_columns() }}
from judged
