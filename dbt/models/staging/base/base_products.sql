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

{% set columns = [
    'product_id', 'updated_at', 'name', 'category', 'unit_price', 'unit_cost', 'currency',
    'is_active',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'products'), columns) }}
),

typed as (
    select
        raw_rows.*,
        {{ key_text('raw_product_id') }} as product_id,
        {{ read_timestamp('raw_updated_at') }} as updated_at,
        {{ one_line('raw_name') }} as name,
        {{ tidy('raw_category') }} as category,
        {{ read_decimal('raw_unit_price') }} as unit_price,
        {{ read_decimal('raw_unit_cost') }} as unit_cost,
        currencies.code as currency,
        {{ read_boolean('raw_is_active') }} as is_active
    from raw_rows
    left join {{ ref('currencies') }} as currencies
        on upper(raw_rows.raw_currency) = currencies.code
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
