{{
    config(
        materialized='landed',
        source='returns',
        key=['return_id'],
        change_log=['return_id', 'order_item_id'],
        indexes=[
            {'columns': ['return_id']},
            {'columns': ['order_item_id']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'return_id', 'order_item_id', 'returned_at', 'quantity', 'reason', 'refund_amount',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'returns'), columns) }}
),

typed as (
    select
        raw_rows.*,
        {{ key_text('raw_return_id') }} as return_id,
        {{ key_text('raw_order_item_id') }} as order_item_id,
        {{ read_timestamp('raw_returned_at') }} as returned_at,
        {{ read_integer('raw_quantity') }} as quantity,
        {{ tidy('raw_reason') }} as reason,
        {{ read_decimal('raw_refund_amount') }} as refund_amount
    from raw_rows
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        {{ day_of('returned_at') }} as returned_date,
        case
            {{ reject_missing(['return_id', 'order_item_id']) }}
            {{ reject_too_long(['return_id', 'order_item_id']) }}
            {{ reject_missing(['raw_returned_at', 'raw_quantity']) }}
            {{ reject_unreadable(['returned_at', 'quantity', 'refund_amount']) }}
            {{ reject_absurd_time(['returned_at']) }}
            {{ reject_negative(['refund_amount']) }}
            {{ reject_not_positive(['quantity']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    return_id,
    order_item_id,
    returned_at,
    quantity,
    reason,
    refund_amount,
    returned_date,
    {{ landing_day_of('returned_at') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
