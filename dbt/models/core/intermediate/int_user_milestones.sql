{{
    config(
        rebuild_key=['user_id', 'event_type'],
        change_log=['user_id', 'event_date'],
        indexes=[{'columns': ['user_id', 'event_id'], 'unique': true}, {'columns': ['user_id', 'event_type']}],
    )
}}

{#- A user's own milestone is affected by other changes than those of its account: to ask for the first event of
    everybody whose account changed would be to look through the days of all the past. -#}
{% set of_the_account = ['trial_started', 'subscription_paid'] %}

-- On the day of the first use of any feature another event may be the first. What came later decides nothing.
{% call affected_when() %}
    select uses.user_id, 'activated'
    from (
        select changes.user_id, changes.first_date
        from {{ changes('int_feature_adoption') }}
        union
        select changes.user_id, changes.event_date
        from {{ changes('fact_events') }}
        where changes.event_type in ({{ quoted(var("features")) }})
    ) as uses
    where
        not exists (
            select 1
            from {{ ref('int_feature_adoption') }} as earlier
            where uses.user_id = earlier.user_id and earlier.first_date < uses.first_date
        )
{% endcall %}

{% for milestone in of_the_account %}
{% call affected_when() %}
    select changes.user_id, '{{ milestone }}'
    from {{ changes('dim_users') }}
    union
    select users.user_id, '{{ milestone }}'
    from {{ changes('fact_subscription_periods') }}
    inner join {{ ref('dim_users') }} as users on changes.customer_id = users.customer_id
{% endcall %}

-- Today moved: what was foreseen for a day has happened now, or no longer.
{% call affected_when() %}
    select users.user_id, '{{ milestone }}'
    from {{ changes('dim_date') }}
    inner join {{ ref('fact_subscription_periods') }} as periods
        on changes.date_day = periods.{{ "period_start" if milestone == "trial_started" else "paid_from" }}
    inner join {{ ref('dim_users') }} as users on periods.customer_id = users.customer_id
{% endcall %}
{% endfor %}

with first_dates as (
    select
        user_id,
        min(first_date) as first_date
    from {{ ref('int_feature_adoption') }}
    where {{ affected('user_id', "'activated'") }}
    group by user_id
),

first_uses as (
    select
        events.*,
        row_number() over (partition by events.user_id order by events.event_timestamp, events.event_id) as position
    from first_dates
    inner join {{ ref('fact_events') }} as events
        on first_dates.user_id = events.user_id and first_dates.first_date = events.event_date
    where events.event_type in ({{ quoted(var("features")) }})
),

periods as (
    select * from {{ ref('fact_subscription_periods') }}
    where {{ when_affected(
        "customer_id in (select users.customer_id from " ~ ref('dim_users') ~ " as users"
        ~ " where users.user_id in (select user_id from affected where event_type <> 'activated'))"
    ) }}
),

-- One period may be both: it begins with a trial and is paid after it.
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
),

users as (
    select * from {{ ref('dim_users') }}
    where {{ when_affected("user_id in (select user_id from affected where event_type <> 'activated')") }}
),

-- What an account does counts for everybody who belongs to it then. A subscription may pass from one to another.
reached as (
    select
        starts.*,
        users.user_id
    from starts
    inner join users
        on starts.customer_id = users.customer_id and {{ valid_at('users', 'starts.started_at') }}
    {{ evaluated_once() }}
)

select
    'activated|' || user_id as event_id,
    user_id,
    'activated' as event_type,
    device,
    country,
    event_date,
    event_timestamp
from first_uses
where position = 1
union all
select
    -- A hash of them together: identifiers put side by side may be read in two ways.
    {{ surrogate_key(['milestone', 'subscription_id', 'customer_id', 'user_id']) }} as event_id,
    user_id,
    milestone as event_type,
    cast(null as text) as device,
    cast(null as text) as country,
    {{ day_of('started_at') }} as event_date,
    started_at as event_timestamp
from reached
where {{ affected('user_id', 'milestone') }}
