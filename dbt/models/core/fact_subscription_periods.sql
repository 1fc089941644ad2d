{{
    config(
        rebuild_key=['subscription_id'],
        change_log=[
            'subscription_id', 'customer_id', 'plan_id', 'period_start', 'paid_from', 'period_end'
        ],
        indexes=[
            {'columns': ['subscription_id', 'period_start'], 'unique': true},
            {'columns': ['customer_id', 'paid_from']},
            {'columns': ['plan_id', 'period_start']},
            {'columns': ['period_start']},
            {'columns': ['paid_from']},
            {'columns': ['period_end']},
        ],
    )
}}

with staged as (
    select
        *,
        {{ stated_day('period_start') }} as start_day,
        {{ plus_days(stated_day('trial_end'), 1) }} as day_after_trial,
        row_number() over (
            partition by subscription_id, {{ stated_day('period_start') }}
            order by updated_at desc, period_start desc
        ) as newness
    from {{ ref('stg_subscriptions') }}
    where {{ exact.affected('subscription_id') }}
),

-- A period is identified by its first day: of two that begin on the same day, the newer one counts.
-- A subscription ends when the source says so, however far it was billed. The end is a day in the
-- time zone of the stated days, or a period would lose its last day in time zones behind UTC.
-- least() skips NULLs.
periods as (
    select
        staged.*,
        coalesce(statuses.is_paying, false) as is_paying,
        least(
            {{ plus_days(stated_day('staged.period_end'), 1) }},
            case when statuses.has_ended then {{ stated_day('staged.updated_at') }} end
        ) as stated_end,
        lead(staged.start_day) over (
            partition by staged.subscription_id order by staged.start_day
        ) as next_start
    from staged
    left join {{ ref('subscription_statuses') }} as statuses
        on coalesce(staged.status, 'active') = statuses.status
    where staged.newness = 1
),

-- Half-open: up to the day after the period, or to the start of the subscription's next one.
windows as (
    select
        *,
        coalesce(stated_end, next_start) is not null as ends,
        greatest(least(stated_end, next_start), start_day) as end_day,
        {{ stated_moment('period_start') }} as started_at,
        case when is_paying then greatest(start_day, day_after_trial) end as first_paid_day
    from periods
)

select
    windows.subscription_id,
    windows.start_day as period_start,
    -- Without a condition, greatest() of a missing end would be the start.
    case when windows.ends then windows.end_day end as period_end,
    case
        when not windows.ends or windows.first_paid_day < windows.end_day
            then windows.first_paid_day
    end as paid_from,
    coalesce(windows.status, '') = 'trialing'
    or coalesce(windows.day_after_trial > windows.start_day, false) as has_trial,
    windows.customer_id,
    coalesce(customers.customer_sk, {{ unknown_key() }}) as customer_sk,
    windows.plan_id,
    windows.status,
    windows.currency,
    windows.monthly_amount,
    windows.started_at
from windows
left join {{ ref('dim_customers') }} as customers
    on
        windows.customer_id = customers.customer_id
        and {{ valid_at('customers', 'windows.started_at') }}

-- The keys that a change upstream affects. A period may end where the next one begins, so a
-- subscription is rebuilt as a whole. It has few periods.
{{ exact.affected_by('stg_subscriptions', ['subscription_id']) }}
{% call exact.affected_when() %}
    select periods.subscription_id
    from {{ exact.changes('dim_customers') }}
    inner join {{ ref('stg_subscriptions') }} as periods
        on
            changes.customer_id = periods.customer_id
            and {{ valid_at('changes', stated_moment('periods.period_start')) }}
{% endcall %}
