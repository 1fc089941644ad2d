{{
    config(
        materialized='landed',
        source='subscriptions',
        key=['subscription_id', 'period_start'],
        latest_by=['updated_at'],
        feed=['subscription_id', 'customer_id'],
        indexes=[
            {'columns': ['subscription_id', 'period_start']},
            {'columns': ['customer_id']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ document_text('subscription_id') }} as subscription_id,
        {{ document_text('customer_id') }} as customer_id,
        {{ document_text('plan_id') }} as plan_id,
        {{ document_text('status') }} as status,
        {{ document_text('period_start') }} as period_start,
        {{ document_text('period_end') }} as period_end,
        {{ document_text('trial_end') }} as trial_end,
        {{ document_text('monthly_amount') }} as monthly_amount,
        {{ document_text('currency') }} as currency,
        {{ document_text('updated_at') }} as updated_at,
        {{ document_original() }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'subscriptions') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        subscription_id,
        customer_id,
        lower(plan_id) as plan_id,
        lower(status) as status,
        period_start as raw_period_start,
        {{ read_timestamp('period_start') }} as period_start,
        {{ read_timestamp('period_end') }} as period_end,
        {{ read_timestamp('trial_end') }} as trial_end,
        monthly_amount as raw_monthly_amount,
        {{ read_decimal('monthly_amount') }} as monthly_amount,
        upper(currency) as currency,
        updated_at as raw_updated_at,
        {{ read_timestamp('updated_at') }} as updated_at,
        period_end as raw_period_end,
        trial_end as raw_trial_end,
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
            when subscription_id is null then 'subscription_id_missing'
            when customer_id is null then 'customer_id_missing'
            when currency is null then 'currency_missing'
            when raw_period_start is null then 'period_start_missing'
            when period_start is null then 'period_start_unreadable'
            when {{ day_of('period_start') }} < cast('{{ var("earliest_day") }}' as date) then 'period_start_too_early'
            when {{ day_of('period_start') }} > {{ plus_days('_landed_on', 1) }} then 'period_start_in_the_future'
            when raw_updated_at is null then 'updated_at_missing'
            when updated_at is null then 'updated_at_unreadable'
            when {{ day_of('updated_at') }} < cast('{{ var("earliest_day") }}' as date) then 'updated_at_too_early'
            when {{ day_of('updated_at') }} > {{ plus_days('_landed_on', 1) }} then 'updated_at_in_the_future'
            when raw_monthly_amount is null then 'monthly_amount_missing'
            when monthly_amount is null then 'monthly_amount_unreadable'
            when monthly_amount < 0 then 'monthly_amount_negative'
            when raw_period_end is not null and {{ read_timestamp('raw_period_end') }} is null then 'period_end_unreadable'
            when raw_trial_end is not null and {{ read_timestamp('raw_trial_end') }} is null then 'trial_end_unreadable'
        end as _reject_rule
    from typed
)

select
    subscription_id,
    customer_id,
    plan_id,
    status,
    period_start,
    period_end,
    trial_end,
    monthly_amount,
    currency,
    updated_at,
    {{ day_of('updated_at') }} < _landed_on as is_late,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
