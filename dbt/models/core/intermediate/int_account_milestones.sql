{{
    config(
        rebuild_key=['user_id'],
        change_log=['user_id', 'event_date'],
        indexes=[{'columns': ['user_id', 'event_id'], 'unique': true}],
    )
}}

with users as (
    select * from {{ ref('dim_users') }}
    where {{ exact.affected('user_id') }}
),

periods as (
    select * from {{ ref('fact_subscription_periods') }}
    where {{ exact.when_affected(
        "customer_id in (select users.customer_id from " ~ ref('dim_users') ~ " as users"
        ~ " where users.user_id in (select user_id from affected))"
    ) }}
),

-- A period may be both: one that begins with a trial and is paid after it.
milestones as (
    select
        subscription_id,
        customer_id,
        'trial_started' as milestone,
        started_at as reached_at
    from periods
    where has_trial and period_start <= {{ last_day() }}
    union all
    select
        subscription_id,
        customer_id,
        'subscription_paid' as milestone,
        {{ paid_at('periods') }} as reached_at
    from periods
    where paid_from <= {{ last_day() }} and monthly_amount > 0
),

starts as (
    select
        subscription_id,
        customer_id,
        milestone,
        min(reached_at) as started_at
    from milestones
    group by subscription_id, customer_id, milestone
)

-- A milestone counts for everybody who belongs to the account at that moment. A subscription may
-- move to another account.
select
    {{ surrogate_key([
        'starts.milestone', 'starts.subscription_id', 'starts.customer_id', 'users.user_id'
    ]) }} as event_id,
    users.user_id,
    starts.milestone as event_type,
    cast(null as text) as device,
    cast(null as text) as country,
    {{ day_of('starts.started_at') }} as event_date,
    starts.started_at as event_timestamp
from starts
inner join users
    on starts.customer_id = users.customer_id and {{ valid_at('users', 'starts.started_at') }}

-- The keys that a change upstream affects. When "today" moves, a milestone that was expected for a
-- day has happened now, or no longer has.
{{ exact.affected_by('dim_users', ['user_id']) }}
{% call exact.affected_when() %}
    select users.user_id
    from {{ exact.changes('fact_subscription_periods') }}
    inner join {{ ref('dim_users') }} as users on changes.customer_id = users.customer_id
{% endcall %}
{% for day in ['period_start', 'paid_from'] %}
{% call exact.affected_when() %}
    select users.user_id
    from {{ exact.changes('dim_date') }}
    inner join {{ ref('fact_subscription_periods') }} as periods
        on changes.date_day = periods.{{ day }}
    inner join {{ ref('dim_users') }} as users on periods.customer_id = users.customer_id
{% endcall %}
{% endfor %}
