{{
    config(
        materialized='landed',
        source='payments',
        key=['payment_id'],
        feed=['payment_id', 'order_id'],
        indexes=[
            {'columns': ['payment_id']},
            {'columns': ['order_id']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ column_text('payment_id') }} as payment_id,
        {{ column_text('customer_id') }} as customer_id,
        {{ column_text('order_id') }} as order_id,
        {{ column_text('subscription_id') }} as subscription_id,
        {{ column_text('kind') }} as kind,
        {{ column_text('method') }} as method,
        {{ column_text('status') }} as status,
        {{ column_text('amount') }} as amount,
        {{ column_text('currency') }} as currency,
        {{ column_text('paid_at') }} as paid_at,
        {{ columns_original(['payment_id', 'customer_id', 'order_id', 'subscription_id', 'kind', 'method', 'status', 'amount', 'currency', 'paid_at']) }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'payments') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        payment_id,
        customer_id,
        order_id,
        subscription_id,
        coalesce(lower(kind), 'charge') as kind,
        lower(method) as method,
        coalesce(lower(status), 'succeeded') as status,
        amount as raw_amount,
        {{ read_decimal('amount') }} as amount,
        upper(currency) as currency,
        paid_at as raw_paid_at,
        {{ read_timestamp('paid_at') }} as paid_at,
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
        {{ day_of('paid_at') }} as paid_date,
        case
            when payment_id is null then 'payment_id_missing'
            when currency is null then 'currency_missing'
            when raw_amount is null then 'amount_missing'
            when amount is null then 'amount_unreadable'
            when amount < 0 then 'amount_negative'
            when raw_paid_at is null then 'paid_at_missing'
            when paid_at is null then 'paid_at_unreadable'
            when {{ day_of('paid_at') }} < cast('{{ var("earliest_day") }}' as date) then 'paid_at_too_early'
            when {{ day_of('paid_at') }} > {{ plus_days('_landed_on', 1) }} then 'paid_at_in_the_future'
            when kind not in ('charge', 'refund') then 'kind_unknown'
        end as _reject_rule
    from typed
)

select
    payment_id,
    customer_id,
    order_id,
    subscription_id,
    kind,
    method,
    status,
    amount,
    currency,
    paid_at,
    paid_date,
    paid_date < _landed_on as is_late,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
