{{
    config(
        rebuild_key=['grain', 'period_start'],
        compares_to=['int_activity_spine'],
        indexes=[{'columns': ['grain', 'period_start'], 'unique': true}],
    )
}}

{% set grains = ["day", "week", "month"] %}

-- The affected periods, and the previous one of each.
{% set reached = ["select grain, period_start from affected"] %}
{% for grain in grains %}
{% do reached.append(
    "select grain, " ~ plus_periods(grain, "period_start", -1)
    ~ " from affected where grain = '" ~ grain ~ "'"
) %}
{% endfor %}

with counts as (
    select
        grain,
        period_start,
        count(*) as active_users,
        count(case when status = 'new' then 1 end) as new_users,
        count(case when status = 'retained' then 1 end) as retained_users,
        count(case when status = 'resurrected' then 1 end) as resurrected_users
    from {{ ref('int_user_periods') }}
    where
        {{ exact.when_affected(
            "(grain, period_start) in (" ~ reached | join(" union all ") ~ ")"
        ) }}
    group by grain, period_start
),

periods as (
    select
        spine.grain,
        spine.period_start,
        coalesce(counts.active_users, 0) as active_users,
        coalesce(counts.new_users, 0) as new_users,
        coalesce(counts.retained_users, 0) as retained_users,
        coalesce(counts.resurrected_users, 0) as resurrected_users,
        coalesce(
            lag(counts.active_users) over (partition by spine.grain order by spine.period_start), 0
        ) - coalesce(counts.retained_users, 0) as churned_users
    from {{ ref('int_activity_spine') }} as spine
    left join counts on spine.grain = counts.grain and spine.period_start = counts.period_start
)

select
    grain,
    period_start,
    cast(active_users as integer) as active_users,
    cast(new_users as integer) as new_users,
    cast(retained_users as integer) as retained_users,
    cast(resurrected_users as integer) as resurrected_users,
    cast(churned_users as integer) as churned_users,
    {{ ratio('new_users + resurrected_users', 'churned_users') }} as quick_ratio
from periods
where {{ exact.affected('grain', 'period_start') }}

-- The keys that a change upstream affects. A user who was active in a period counts in it and, as
-- churned or not, in the next one.
{{ exact.affected_by('int_user_periods', ['grain', 'period_start']) }}
{{ affected_by_comparison(ref('int_activity_spine'), ['grain', 'period_start']) }}
{% for grain in grains %}
{% call exact.affected_when() %}
    select changes.grain, {{ plus_periods(grain, 'changes.period_start', 1) }}
    from {{ exact.changes('int_user_periods') }}
    where changes.grain = '{{ grain }}'
{% endcall %}
{% endfor %}
