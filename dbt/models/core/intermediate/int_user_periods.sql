{{
    config(
        rebuild_key=['grain', 'period_start', 'user_id'],
        change_log=['grain', 'period_start'],
        indexes=[{'columns': ['grain', 'period_start', 'user_id'], 'unique': true}],
    )
}}

{% set grains = ["day", "week", "month"] %}

-- Activity with a date after today would count in a week that has begun, but in no day.
with
{% for grain in grains -%}
{{ grain }}_activity as (
    select
        '{{ grain }}' as grain,
        {{ period_of(grain, 'days.event_date') }} as period_start,
        days.user_id,
        sum(days.returning_events) > 0 as is_returning
    from {{ ref('int_user_days') }} as days
    where
        days.event_date <= {{ last_day() }}
        and {{ within_affected_periods(grain, 'days.event_date', earlier=1) }}
        and {{ exact.when_affected(
            "exists (select 1 from affected where affected.grain = '" ~ grain ~ "'"
            ~ " and affected.user_id = days.user_id"
            ~ " and days.event_date >= " ~ plus_periods(grain, 'affected.period_start', -1)
            ~ " and days.event_date < " ~ plus_periods(grain, 'affected.period_start', 1) ~ ")"
        ) }}
    group by {{ period_of(grain, 'days.event_date') }}, days.user_id
),

{{ grain }}_status as (
    select
        activity.grain,
        activity.period_start,
        activity.user_id,
        case
            when activity.period_start = {{ period_of(grain, 'users.first_date') }} then 'new'
            when
                {{ plus_periods(grain, 'activity.period_start', -1) }}
                = lag(activity.period_start) over (
                    partition by activity.user_id order by activity.period_start
                )
                then 'retained'
            else 'resurrected'
        end as status,
        activity.is_returning
    from {{ grain }}_activity as activity
    inner join {{ ref('int_first_activity') }} as users on activity.user_id = users.user_id
),

{% endfor -%}
all_periods as (
    {% for grain in grains -%}
    select * from {{ grain }}_status
    {{ "union all" if not loop.last }}
    {% endfor %}
)

select
    grain,
    period_start,
    user_id,
    status,
    is_returning
from all_periods
where {{ exact.affected('grain', 'period_start', 'user_id') }}

-- The keys that a change upstream affects. A day of activity affects its own period and the next
-- one, in which the user comes back or not. Another first day makes another period the new one.
{% for grain in grains %}
{% for later in [0, 1] %}
{% call exact.affected_when() %}
    select
        '{{ grain }}',
        {{ plus_periods(grain, period_of(grain, 'changes.event_date'), later) }},
        changes.user_id
    from {{ exact.changes('int_user_days') }}
{% endcall %}
-- When "today" moves, the days that the calendar gained count now, and those that it lost do not.
{% call exact.affected_when() %}
    select
        '{{ grain }}',
        {{ plus_periods(grain, period_of(grain, 'days.event_date'), later) }},
        days.user_id
    from {{ exact.changes('dim_date') }}
    inner join {{ ref('int_user_days') }} as days on changes.date_day = days.event_date
    where {{ exact.within_changed(
        'dim_date', 'days.event_date', first='changes.date_day', last='changes.date_day'
    ) }}
{% endcall %}
{% endfor %}
{% call exact.affected_when() %}
    select '{{ grain }}', {{ period_of(grain, 'changes.first_date') }}, changes.user_id
    from {{ exact.changes('int_first_activity') }}
{% endcall %}
{% endfor %}
