{{
    config(
        materialized='landed',
        source='orders',
        key=['order_id'],
        latest_by=['updated_at'],
        change_log=['order_id', 'customer_id'],
        indexes=[
            {'columns': ['order_id']},
            {'columns': ['user_id', 'ordered_at']},
            {'columns': ['customer_id', 'ordered_at']},
            {'columns': ['order_date']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'order_id', 'customer_id', 'user_id', 'ordered_at', 'status', 'currency', 'shipping_country',
    'discount_amount', 'shipping_amount', 'tax_amount', 'updated_at',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'orders'), columns) }}
),

typed as (
    select
        {{ key_text('order_id') }} as order_id,
        {{ key_text('customer_id') }} as customer_id,
        {{ key_text('user_id') }} as user_id,
        {{ read_timestamp('ordered_at') }} as ordered_at,
        {{ tidy('status') }} as status,
        {{ currency_code('currency') }} as currency,
        {{ country_code('shipping_country') }} as shipping_country,
        {{ read_decimal('discount_amount') }} as discount_amount,
        {{ read_decimal('shipping_amount') }} as shipping_amount,
        {{ read_decimal('tax_amount') }} as tax_amount,
        {{ read_timestamp('updated_at') }} as updated_at,
        ordered_at as raw_ordered_at,
        discount_amount as raw_discount_amount,
        shipping_amount as raw_shipping_amount,
        tax_amount as raw_tax_amount,
        updated_at as raw_updated_at,
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
        {{ day_of('ordered_at') }} as order_date,
        case
            {{ reject_missing(['order_id', 'customer_id']) }}
            {{ reject_too_long(['order_id', 'user_id', 'customer_id']) }}
            {{ reject_missing(['raw_ordered_at']) }}
            {{ reject_unreadable(['ordered_at', 'discount_amount', 'shipping_amount', 'tax_amount', 'updated_at']) }}
            {{ reject_unknown_currency(['currency']) }}
            {{ reject_absurd_time(['ordered_at', 'updated_at']) }}
            {{ reject_negative(['discount_amount', 'shipping_amount', 'tax_amount']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    order_id,
    customer_id,
    user_id,
    ordered_at,
    status,
    currency,
    shipping_country,
    cast(coalesce(discount_amount, 0) as numeric(18, 4)) as discount_amount,
    cast(coalesce(shipping_amount, 0) as numeric(18, 4)) as shipping_amount,
    cast(coalesce(tax_amount, 0) as numeric(18, 4)) as tax_amount,
    updated_at,
    order_date,
    {{ landing_day_of('ordered_at') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
