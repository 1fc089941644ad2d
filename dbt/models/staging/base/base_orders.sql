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
        raw_rows.*,
        {{ key_text('raw_order_id') }} as order_id,
        {{ key_text('raw_customer_id') }} as customer_id,
        {{ key_text('raw_user_id') }} as user_id,
        {{ read_timestamp('raw_ordered_at') }} as ordered_at,
        {{ tidy('raw_status') }} as status,
        currencies.code as currency,
        countries.code as shipping_country,
        {{ read_decimal('raw_discount_amount') }} as discount_amount,
        {{ read_decimal('raw_shipping_amount') }} as shipping_amount,
        {{ read_decimal('raw_tax_amount') }} as tax_amount,
        {{ read_timestamp('raw_updated_at') }} as updated_at
    from raw_rows
    left join {{ ref('currencies') }} as currencies
        on upper(raw_rows.raw_currency) = currencies.code
    left join {{ country_names() }} as countries
        on {{ tidy('raw_rows.raw_shipping_country') }} = countries.name
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
            {{ reject_unreadable([
                'ordered_at', 'discount_amount', 'shipping_amount', 'tax_amount', 'updated_at',
            ]) }}
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
