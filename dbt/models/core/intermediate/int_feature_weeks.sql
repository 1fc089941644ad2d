{{
    config(
        rebuild_key=['week_start'],
        change_log=['week_start', 'feature'],
        indexes=[{'columns': ['week_start', 'feature'], 'unique': true}],
    )
}}

{#- As in int_user_periods, so that a week has no more users of a feature than active ones. -#}
{% set until_today = last_day() %}

with user_weeks as (
    select
        {{ period_of('week', 'days.event_date') }} as week_start,
        days.user_id,
        {%- for feature in var("features") %}
        sum(days.{{ feature }}) as {{ feature }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ ref('int_user_days') }} as days
    where
        days.event_date <= {{ until_today }}
        and {{ within_affected('week', 'days.event_date') }}
    group by {{ period_of('week', 'days.event_date') }}, days.user_id
),

uses as (
    {% for feature in var("features") -%}
    select
        week_start,
        '{{ feature }}' as feature,
        count(*) as users,
        sum({{ feature }}) as events
    from user_weeks
    where {{ feature }} > 0
    group by week_start
    {{ "union all" if not loop.last }}
    {% endfor %}
),

-- A first use is a use, so a week with adopters has users.
adoptions as (
    select
        {{ period_of('week', 'adoption.first_date') }} as week_start,
        adoption.feature,
        count(*) as new_users
    from {{ ref('int_feature_adoption') }} as adoption
    where
        adoption.first_date <= {{ until_today }}
        and {{ within_affected('week', 'adoption.first_date') }}
    group by {{ period_of('week', 'adoption.first_date') }}, adoption.feature
)

select
    uses.week_start,
    uses.feature,
    cast(uses.users as integer) as users,
    cast(uses.events as integer) as events,
    cast(coalesce(adoptions.new_users, 0) as integer) as new_users
from uses
left join adoptions on uses.week_start = adoptions.week_start and uses.feature = adoptions.feature

-- The keys that a change upstream affects. When "today" moves, the days that the calendar gained
-- count now, and those that it lost no longer do.
{% call exact.affected_when() %}
    select {{ period_of('week', 'changes.event_date') }} from {{ exact.changes('int_user_days') }}
    union
    select {{ period_of('week', 'changes.first_date') }}
    from {{ exact.changes('int_feature_adoption') }}
    union
    select {{ period_of('week', 'changes.date_day') }} from {{ exact.changes('dim_date') }}
{% endcall %}
