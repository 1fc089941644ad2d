{{
    config(
        rebuild_key=['grain', 'cohort_start', 'period_index'],
        compares_to=['int_retention_cells'],
        indexes=[{'columns': ['grain', 'cohort_start', 'period_index'], 'unique': true}],
        pre_hook=['set local enable_nestloop = off', 'set local enable_sort = off'],
    )
}}

-- The planner expects few users for few cells, but a cell stands for all users of a period. The
-- hooks keep it from looking each of them up, and from sorting all of them to count them.
with cells as (
    select
        cells.*,
        case
            when {{ exact.affected('grain', 'cohort_start', 'period_index') }} then 1 else 0
        end as is_affected
    from {{ ref('int_retention_cells') }} as cells
),

-- Every cell of these cohorts is counted: from the cohort's members to the periods of their return.
whole_cohorts as (
    select
        grain,
        cohort_start,
        max(return_start) as last_return
    from cells
    group by grain, cohort_start
    having min(is_affected) = 1
),

-- A cell of another cohort is counted from the users of its later period back to their cohorts: a
-- new period, or one with a late row, has a cell in each earlier cohort.
late_periods as (
    select
        cells.grain,
        cells.return_start,
        min(cells.cohort_start) as first_cohort
    from cells
    left join whole_cohorts
        on cells.grain = whole_cohorts.grain and cells.cohort_start = whole_cohorts.cohort_start
    where cells.is_affected = 1 and whole_cohorts.grain is null
    group by cells.grain, cells.return_start
),

reached as (
    select * from {{ ref('int_user_periods') }}
    where {{ not_before_affected('cohort_start', 'period_start', var('retention_periods')) }}
),

periods as (
    select
        reached.*,
        whole_cohorts.last_return,
        late_periods.first_cohort
    from reached
    left join whole_cohorts
        on reached.grain = whole_cohorts.grain and reached.period_start = whole_cohorts.cohort_start
    left join late_periods
        on reached.grain = late_periods.grain and reached.period_start = late_periods.return_start
),

-- A user in two periods, which may be the same: in its own period, a cohort is complete.
returns as (
    select
        one.grain,
        least(one.period_start, other.period_start) as cohort_start,
        greatest(one.period_start, other.period_start) as return_start,
        count(*) as active_users,
        count(case
            when one.period_start < other.period_start and one.status = 'new' then 1
            when one.period_start >= other.period_start and other.status = 'new' then 1
        end) as new_users
    from periods as one
    inner join periods as other on one.grain = other.grain and one.user_id = other.user_id
    where
        (one.last_return is not null or one.first_cohort is not null)
        and case
            when one.period_start < other.period_start
                then other.period_start <= one.last_return and other.is_returning
            when one.period_start > other.period_start
                then
                    other.last_return is null
                    and one.first_cohort <= other.period_start
                    and one.is_returning
            else true
        end
    group by 1, 2, 3
)

select
    cells.grain,
    cells.cohort_start,
    cells.period_index,
    cast(coalesce(returns.active_users, 0) as integer) as active_users,
    cast(coalesce(returns.new_users, 0) as integer) as new_users
from cells
left join returns
    on
        cells.grain = returns.grain
        and cells.cohort_start = returns.cohort_start
        and cells.return_start = returns.return_start
where cells.is_affected = 1

-- The keys that a change upstream affects. A user of a period is in its cohort, and is back in
-- earlier ones.
{% for role in ['cohort_start', 'return_start'] %}
{% call exact.affected_when() %}
    select cells.grain, cells.cohort_start, cells.period_index
    from {{ exact.changes('int_user_periods') }}
    inner join {{ ref('int_retention_cells') }} as cells
        on changes.grain = cells.grain and changes.period_start = cells.{{ role }}
{% endcall %}
{% endfor %}
{{ affected_by_comparison(ref('int_retention_cells'), ['grain', 'cohort_start', 'period_index']) }}
