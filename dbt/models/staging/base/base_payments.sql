{{
    config(
        materialized='landed',
        source='payments',
        key=['payment_id'],
        change_log=['payment_id', 'order_id'],
        indexes=[
            {'columns': ['payment_id']},
            {'columns': ['order_id']},
            {'columns': ['customer_id', 'paid_at']},
            {'columns': ['paid_date']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'payment_id', 'customer_id', 'order_id', 'subscription_id', 'kind', 'method', 'status',
    'amount', 'currency', 'paid_at',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'payments'), columns) }}
),

typed as (
    select
        raw_rows.*,
        {{ key_text('raw_payment_id') }} as payment_id,
        {{ key_text('raw_customer_id') }} as customer_id,
        {{ key_text('raw_order_id') }} as order_id,
        {{ key_text('raw_subscription_id') }} as subscription_id,
        {{ tidy('raw_kind') }} as kind,
        {{ tidy('raw_method') }} as method,
        {{ tidy('raw_status') }} as status,
        {{ read_decimal('raw_amount') }} as amount,
        currencies.code as currency,
        {{ read_timestamp('raw_paid_at') }} as paid_at
    from raw_rows
    left join {{ ref('currencies') }} as currencies
        on upper(raw_rows.raw_currency) = currencies.code
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        {{ day_of('paid_at') }} as paid_date,
        case
            {{ reject_missing(['payment_id', 'raw_currency']) }}
            {{ reject_too_long(['payment_id', 'customer_id', 'order_id', 'subscription_id']) }}
            {{ reject_missing(['raw_amount', 'raw_paid_at']) }}
            {{ reject_unreadable(['amount', 'paid_at']) }}
            {{ reject_unknown_currency(['currency']) }}
            {{ reject_absurd_time(['paid_at']) }}
            {{ reject_negative(['amount']) }}
            when kind not in ('charge', 'refund') then 'kind_unknown'
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    payment_id,
    customer_id,
    order_id,
    subscription_id,
    coalesce(kind, 'charge') as kind,
    method,
    coalesce(status, 'succeeded') as status,
    amount,
    currency,
    paid_at,
    paid_date,
    {{ landing_day_of('paid_at') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
