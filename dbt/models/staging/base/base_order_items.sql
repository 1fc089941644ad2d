{{
    config(
        materialized='landed',
        source='order_items',
        key=['order_item_id'],
        feed=['order_item_id', 'order_id'],
        indexes=[
            {'columns': ['order_item_id']},
            {'columns': ['order_id']},
            {'columns': ['product_id']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ column_text('order_item_id') }} as order_item_id,
        {{ column_text('order_id') }} as order_id,
        {{ column_text('product_id') }} as product_id,
        {{ column_text('quantity') }} as quantity,
        {{ column_text('unit_price') }} as unit_price,
        {{ column_text('discount_amount') }} as discount_amount,
        {{ columns_original(['order_item_id', 'order_id', 'product_id', 'quantity', 'unit_price', 'discount_amount']) }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'order_items') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        order_item_id,
        order_id,
        product_id,
        quantity as raw_quantity,
        {{ read_integer('quantity') }} as quantity,
        unit_price as raw_unit_price,
        {{ read_decimal('unit_price') }} as unit_price,
        coalesce({{ read_decimal('discount_amount') }}, 0) as discount_amount,
        discount_amount as raw_discount_amount,
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
            when order_item_id is null then 'order_item_id_missing'
            when order_id is null then 'order_id_missing'
            when product_id is null then 'product_id_missing'
            when raw_quantity is null then 'quantity_missing'
            when quantity is null then 'quantity_unreadable'
            when quantity <= 0 then 'quantity_not_positive'
            when raw_unit_price is null then 'unit_price_missing'
            when unit_price is null then 'unit_price_unreadable'
            when unit_price <= 0 then 'unit_price_not_positive'
            when discount_amount < 0 then 'discount_amount_negative'
            when raw_discount_amount is not null and {{ read_decimal('raw_discount_amount') }} is null then 'discount_amount_unreadable'
        end as _reject_rule
    from typed
)

select
    order_item_id,
    order_id,
    product_id,
    quantity,
    unit_price,
    discount_amount,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
