{{
    config(
        rebuild_key=['week_start', 'feature'],
        indexes=[{'columns': ['week_start', 'feature'], 'unique': true}],
    )
}}

with weeks as (
    {% for feature in var("features") -%}
    select
        period_start as week_start,
        '{{ feature }}' as feature,
        active_users
    from {{ ref('growth_accounting') }}
    where grain = 'week'
    {{ "union all" if not loop.last }}
    {% endfor %}
),

-- All weeks and features are read, which are few, to add up the adopters of all earlier weeks.
counted as (
    select
        weeks.week_start,
        weeks.feature,
        weeks.active_users,
        coalesce(uses.users, 0) as users,
        coalesce(uses.events, 0) as events,
        coalesce(uses.new_users, 0) as new_users,
        sum(coalesce(uses.new_users, 0)) over (
            partition by weeks.feature order by weeks.week_start
        ) as adopters
    from weeks
    left join {{ ref('int_feature_weeks') }} as uses
        on weeks.week_start = uses.week_start and weeks.feature = uses.feature
)

select
    'week' as grain,
    week_start,
    feature,
    cast(users as integer) as users,
    cast(events as integer) as events,
    {{ ratio('events', 'users') }} as events_per_user,
    cast(active_users as integer) as active_users,
    {{ ratio('users', 'active_users') }} as adoption_rate,
    cast(new_users as integer) as new_users,
    cast(adopters as integer) as adopters
from counted
where {{ exact.affected('week_start', 'feature') }}

-- The keys that a change upstream affects. First uses count in the adopters of every week from then
-- on.
{% call exact.affected_when() %}
    select weeks.period_start, changes.feature
    from {{ exact.changes('int_feature_weeks') }}
    inner join {{ ref('growth_accounting') }} as weeks
        on weeks.grain = 'week' and weeks.period_start >= changes.week_start
{% endcall %}
-- A week whose active users changed, and one that began or is gone.
{% for feature in var("features") %}
{% call exact.affected_when() %}
    select changes.period_start, '{{ feature }}'
    from {{ exact.changes('growth_accounting') }}
    where changes.grain = 'week'
{% endcall %}
{% endfor %}
