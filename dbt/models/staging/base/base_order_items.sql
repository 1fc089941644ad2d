{{
    config(
        materialized='landed',
        source='order_items',
        key=['order_item_id'],
        change_log=['order_item_id', 'order_id'],
        indexes=[
            {'columns': ['order_item_id']},
            {'columns': ['order_id']},
            {'columns': ['product_id']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'order_item_id', 'order_id', 'product_id', 'quantity', 'unit_price', 'discount_amount',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'order_items'), columns) }}
),

typed as (
    select
        raw_rows.*,
        {{ key_text('raw_order_item_id') }} as order_item_id,
        {{ key_text('raw_order_id') }} as order_id,
        {{ key_text('raw_product_id') }} as product_id,
        {{ read_integer('raw_quantity') }} as quantity,
        {{ read_decimal('raw_unit_price') }} as unit_price,
        {{ read_decimal('raw_discount_amount') }} as discount_amount
    from raw_rows
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['order_item_id', 'order_id', 'product_id']) }}
            {{ reject_too_long(['order_item_id', 'order_id', 'product_id']) }}
            {{ reject_missing(['raw_quantity', 'raw_unit_price']) }}
            {{ reject_unreadable(['quantity', 'unit_price', 'discount_amount']) }}
            {{ reject_negative(['discount_amount']) }}
            {{ reject_not_positive(['quantity', 'unit_price']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    order_item_id,
    order_id,
    product_id,
    quantity,
    unit_price,
    cast(coalesce(discount_amount, 0) as numeric(18, 4)) as discount_amount,
    {{ verdict_columns() }}
from judged
