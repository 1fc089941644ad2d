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
        raw_rows.*,
        {{ key_text('raw_subscription_id') }} as subscription_id,
        {{ key_text('raw_customer_id') }} as customer_id,
        {{ tidy('raw_plan_id') }} as plan_id,
        {{ tidy('raw_status') }} as status,
        {{ read_timestamp('raw_period_start') }} as period_start,
        {{ read_timestamp('raw_period_end') }} as period_end,
        {{ read_timestamp('raw_trial_end') }} as trial_end,
        {{ read_decimal('raw_monthly_amount') }} as monthly_amount,
        currencies.code as currency,
        {{ read_timestamp('raw_updated_at') }} as updated_at
    from raw_rows
    left join {{ ref('currencies') }} as currencies
        on upper(raw_rows.raw_currency) = currencies.code
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['subscription_id', 'customer_id', 'raw_currency']) }}
            {{ reject_too_long(['subscription_id', 'customer_id', 'plan_id']) }}
            {{ reject_missing(['raw_period_start', 'raw_monthly_amount', 'raw_updated_at']) }}
            {{ reject_unreadable([
                'period_start', 'period_end', 'trial_end', 'monthly_amount', 'updated_at',
            ]) }}
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
