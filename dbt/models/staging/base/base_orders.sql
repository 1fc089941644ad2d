{{
    config(
        materialized='landed',
        source='orders',
        key=['order_id'],
        latest_by=['updated_at'],
        feed=['order_id', 'customer_id'],
        indexes=[
            {'columns': ['order_id']},
            {'columns': ['user_id', 'ordered_at']},
            {'columns': ['customer_id', 'ordered_at']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ column_text('order_id') }} as order_id,
        {{ column_text('customer_id') }} as customer_id,
        {{ column_text('user_id') }} as user_id,
        {{ column_text('ordered_at') }} as ordered_at,
        {{ column_text('status') }} as status,
        {{ column_text('currency') }} as currency,
        {{ column_text('shipping_country') }} as shipping_country,
        {{ column_text('discount_amount') }} as discount_amount,
        {{ column_text('shipping_amount') }} as shipping_amount,
        {{ column_text('tax_amount') }} as tax_amount,
        {{ column_text('updated_at') }} as updated_at,
        {{ columns_original(['order_id', 'customer_id', 'user_id', 'ordered_at', 'status', 'currency', 'shipping_country', 'discount_amount', 'shipping_amount', 'tax_amount', 'updated_at']) }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'orders') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        order_id,
        customer_id,
        user_id,
        ordered_at as raw_ordered_at,
        {{ read_timestamp('ordered_at') }} as ordered_at,
        lower(status) as status,
        upper(currency) as currency,
        upper(shipping_country) as shipping_country,
        coalesce({{ read_decimal('discount_amount') }}, 0) as discount_amount,
        coalesce({{ read_decimal('shipping_amount') }}, 0) as shipping_amount,
        coalesce({{ read_decimal('tax_amount') }}, 0) as tax_amount,
        {{ read_timestamp('updated_at') }} as updated_at,
        discount_amount as raw_discount_amount,
        shipping_amount as raw_shipping_amount,
        tax_amount as raw_tax_amount,
        updated_at as raw_updated_at,
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
        {{ day_of('ordered_at') }} as order_date,
        case
            when order_id is null then 'order_id_missing'
            when customer_id is null then 'customer_id_missing'
            when raw_ordered_at is null then 'ordered_at_missing'
            when ordered_at is null then 'ordered_at_unreadable'
            when {{ day_of('ordered_at') }} < cast('{{ var("earliest_day") }}' as date) then 'ordered_at_too_early'
            when {{ day_of('ordered_at') }} > {{ plus_days('_landed_on', 1) }} then 'ordered_at_in_the_future'
            when discount_amount < 0 then 'discount_amount_negative'
            when shipping_amount < 0 then 'shipping_amount_negative'
            when tax_amount < 0 then 'tax_amount_negative'
            when raw_discount_amount is not null and {{ read_decimal('raw_discount_amount') }} is null then 'discount_amount_unreadable'
            when raw_shipping_amount is not null and {{ read_decimal('raw_shipping_amount') }} is null then 'shipping_amount_unreadable'
            when raw_tax_amount is not null and {{ read_decimal('raw_tax_amount') }} is null then 'tax_amount_unreadable'
            when raw_updated_at is not null and {{ read_timestamp('raw_updated_at') }} is null then 'updated_at_unreadable'
        end as _reject_rule
    from typed
)

select
    order_id,
    customer_id,
    user_id,
    ordered_at,
    order_date,
    status,
    currency,
    shipping_country,
    discount_amount,
    shipping_amount,
    tax_amount,
    updated_at,
    order_date < _landed_on as is_late,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
