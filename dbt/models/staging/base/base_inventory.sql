{{
    config(
        materialized='landed',
        source='inventory',
        key=['product_id', 'stock_date'],
        indexes=[
            {'columns': ['product_id', 'stock_date']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

with raw_rows as (
    {{ landed_columns(
        source('raw', 'inventory'), ['product_id', 'stock_date', 'on_hand', 'received']
    ) }}
),

typed as (
    select
        raw_rows.*,
        {{ key_text('raw_product_id') }} as product_id,
        {{ read_date('raw_stock_date') }} as stock_date,
        {{ read_integer('raw_on_hand') }} as on_hand,
        {{ read_integer('raw_received') }} as received
    from raw_rows
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['product_id']) }}
            {{ reject_too_long(['product_id']) }}
            {{ reject_missing(['raw_stock_date', 'raw_on_hand']) }}
            {{ reject_unreadable(['stock_date', 'on_hand', 'received']) }}
            {{ reject_absurd_day(['stock_date']) }}
            {{ reject_negative(['received']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    product_id,
    stock_date,
    on_hand,
    coalesce(received, 0) as received,
    stock_date < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
