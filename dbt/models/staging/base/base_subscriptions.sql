{{
    config(
        materialized='landed',
        source='subscriptions',
        key=['subscription_id', 'period_start'],
        latest_by=['updated_at'],
        change_log=['subscription_id', 'customer_id'],
        indexes=[
            {'columns': ['subscription_id', 'period_start']},
            {'columns': ['customer_id']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'subscription_id', 'customer_id', 'plan_id', 'status', 'period_start', 'period_end',
    'trial_end', 'monthly_amount', 'currency', 'updated_at',
] %}

with raw_rows as (
    {{ landed_documents(source('raw', 'subscriptions'), columns) }}
),

typed as (
    select
        {{ key_text('subscription_id') }} as subscription_id,
        {{ key_text('customer_id') }} as customer_id,
        {{ tidy('plan_id') }} as plan_id,
        {{ tidy('status') }} as status,
        {{ read_timestamp('period_start') }} as period_start,
        {{ read_timestamp('period_end') }} as period_end,
        {{ read_timestamp('trial_end') }} as trial_end,
        {{ read_decimal('monthly_amount') }} as monthly_amount,
        {{ currency_code('currency') }} as currency,
        {{ read_timestamp('updated_at') }} as updated_at,
        period_start as raw_period_start,
        period_end as raw_period_end,
        trial_end as raw_trial_end,
        monthly_amount as raw_monthly_amount,
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
        case
            {{ reject_missing(['subscription_id', 'customer_id', 'raw_currency']) }}
            {{ reject_too_long(['subscription_id', 'customer_id', 'plan_id']) }}
            {{ reject_missing(['raw_period_start', 'raw_monthly_amount', 'raw_updated_at']) }}
            {{ reject_unreadable(['period_start', 'period_end', 'trial_end', 'monthly_amount', 'updated_at']) }}
            {{ reject_unknown_currency(['currency']) }}
            {{ reject_absurd_time(['period_start', 'updated_at']) }}
            {{ reject_negative(['monthly_amount']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
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
    {{ landing_day_of('updated_at') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
