{{
    config(
        rebuild_key=['event_date'],
        indexes=[{'columns': ['event_date', 'country', 'plan'], 'unique': true}],
    )
}}

-- If several windows contain a day, the one in which the day ends counts.
with
{% for name, versions, segment in [
    ('users', 'dim_users', 'country'),
    ('plans', 'int_user_plans', 'plan_id'),
] -%}
{{ name }} as (
    select
        user_id,
        {{ segment }},
        {{ day_of('valid_from') }} as valid_from,
        {{ day_of('valid_to') }} as valid_to
    from {{ ref(versions) }}
){{ "," if not loop.last }}
{% endfor %}

select
    days.event_date,
    coalesce(users.country, 'unknown') as country,
    coalesce(plans.plan_id, 'none') as plan,
    cast(count(*) as integer) as active_users,
    cast(sum(days.events) as bigint) as events,
    cast(sum(days.sessions) as bigint) as sessions
from {{ ref('int_user_days') }} as days
left join users on days.user_id = users.user_id and {{ valid_at('users', 'days.event_date') }}
left join plans on days.user_id = plans.user_id and {{ valid_at('plans', 'days.event_date') }}
where {{ exact.affected('days.event_date') }}
group by 1, 2, 3

-- The keys that a change upstream affects. A changed version of a user, or a changed plan, moves
-- the user's days in its time to another segment.
{{ exact.affected_by('int_user_days', ['event_date']) }}
{% for upstream in ['dim_users', 'int_user_plans'] %}
{% call exact.affected_when() %}
    select days.event_date
    from {{ exact.changes(upstream) }}
    inner join {{ ref('int_user_days') }} as days
        on
            changes.user_id = days.user_id
            and days.event_date >= {{ day_of('changes.valid_from') }}
            and (days.event_date <= {{ day_of('changes.valid_to') }} or changes.valid_to is null)
{% endcall %}
{% endfor %}
