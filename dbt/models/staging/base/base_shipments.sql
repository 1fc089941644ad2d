{{
    config(
        materialized='landed',
        source='shipments',
        key=['shipment_id'],
        latest_by=['updated_at'],
        change_log=['shipment_id', 'order_id'],
        indexes=[
            {'columns': ['shipment_id']},
            {'columns': ['order_id']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'shipment_id', 'order_id', 'carrier', 'shipped_at', 'promised_at', 'delivered_at', 'updated_at',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'shipments'), columns) }}
),

typed as (
    select
        raw_rows.*,
        {{ key_text('raw_shipment_id') }} as shipment_id,
        {{ key_text('raw_order_id') }} as order_id,
        {{ tidy('raw_carrier') }} as carrier,
        {{ read_timestamp('raw_shipped_at') }} as shipped_at,
        {{ read_timestamp('raw_promised_at') }} as promised_at,
        {{ read_timestamp('raw_delivered_at') }} as delivered_at,
        {{ read_timestamp('raw_updated_at') }} as updated_at
    from raw_rows
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['shipment_id', 'order_id']) }}
            {{ reject_too_long(['shipment_id', 'order_id']) }}
            {{ reject_unreadable(['shipped_at', 'promised_at', 'delivered_at', 'updated_at']) }}
            {{ reject_absurd_time(['shipped_at', 'delivered_at', 'updated_at']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    shipment_id,
    order_id,
    carrier,
    shipped_at,
    promised_at,
    delivered_at,
    updated_at,
    {{ landing_day_of('coalesce(updated_at, delivered_at, shipped_at)') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
