{{
    config(
        rebuild_key=['grain', 'cohort_start', 'period_index'],
        indexes=[
            {
                'columns': ['grain', 'cohort_start', 'period_index', 'retention_type'],
                'unique': true,
            },
        ],
    )
}}

{#- A first-time cohort consists of its period's new users, a recurring cohort of all users. -#}
{% set types = {'first_time': 'new_users', 'recurring': 'active_users'} %}

-- In its own period, which is number 0, a cohort is complete.
with cohorts as (
    {% for type, users in types.items() -%}
    select
        '{{ type }}' as retention_type,
        counts.grain,
        counts.cohort_start,
        counts.period_index,
        sizes.{{ users }} as cohort_users,
        counts.{{ users }} as retained_users
    from {{ ref('int_retention_counts') }} as counts
    inner join {{ ref('int_retention_counts') }} as sizes
        on
            counts.grain = sizes.grain
            and counts.cohort_start = sizes.cohort_start
            and sizes.period_index = 0
    where {{ exact.affected('counts.grain', 'counts.cohort_start', 'counts.period_index') }}
    {{ "union all" if not loop.last }}
    {% endfor %}
)

select
    retention_type,
    grain,
    cohort_start,
    period_index,
    cohort_users,
    retained_users,
    {{ ratio('retained_users', 'cohort_users') }} as retention_rate
from cohorts

-- The keys that a change upstream affects. The users of a cohort count in all of its cells.
{{ exact.affected_by('int_retention_counts', ['grain', 'cohort_start', 'period_index']) }}
{% call exact.affected_when() %}
    select cells.grain, cells.cohort_start, cells.period_index
    from {{ exact.changes('int_retention_counts') }}
    inner join {{ ref('int_retention_counts') }} as cells
        on changes.grain = cells.grain and changes.cohort_start = cells.cohort_start
    where changes.period_index = 0
{% endcall %}
