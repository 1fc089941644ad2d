{{
    config(
        rebuild_key=['grain', 'cohort_start', 'period_index'],
        compares_to=['int_retention_cells'],
        indexes=[{'columns': ['grain', 'cohort_start', 'period_index', 'retention_type'], 'unique': true}],
        pre_hook=['set local enable_nestloop = off', 'set local enable_sort = off'],
    )
}}

-- The planner takes a few cells for a few users, where a cell stands for all of a period's. So it may neither look each
-- user up, which takes longer than reading the periods once, nor sort all users to count them (pre_hook).

-- Who is active in a period belongs to the cohort of that period, and has come back to the cohorts before it.
{% for role in ['cohort_start', 'return_start'] %}
{% call affected_when() %}
    select cells.grain, cells.cohort_start, cells.period_index
    from {{ changes('int_user_periods') }}
    inner join {{ ref('int_retention_cells') }} as cells
        on changes.grain = cells.grain and changes.period_start = cells.{{ role }}
{% endcall %}
{% endfor %}

-- Cells that the calendar gained or lost.
{% call affected_when() %}
    select
        coalesce(cells.grain, held.grain),
        coalesce(cells.cohort_start, held.cohort_start),
        coalesce(cells.period_index, held.period_index)
    from {{ ref('int_retention_cells') }} as cells
    full join (select * from {{ this }} where retention_type = 'recurring') as held
        on cells.grain = held.grain and cells.cohort_start = held.cohort_start and cells.period_index = held.period_index
    where cells.grain is null or held.grain is null
{% endcall %}

with cells as (
    select
        cells.*,
        case when {{ affected('grain', 'cohort_start', 'period_index') }} then 1 else 0 end as is_affected
    from {{ ref('int_retention_cells') }} as cells
),

-- Every cell of these cohorts is counted: from the members of the cohort to when they came back.
whole_cohorts as (
    select
        grain,
        cohort_start,
        max(return_start) as last_return
    from cells
    group by grain, cohort_start
    having min(is_affected) = 1
),

-- A cell of another cohort is counted from who was there in its later period, back to the cohorts they belong to: a new
-- period, or one that a late row touches, has a cell in each cohort before it.
late_periods as (
    select
        cells.grain,
        cells.return_start,
        min(cells.cohort_start) as first_cohort
    from cells
    left join whole_cohorts on cells.grain = whole_cohorts.grain and cells.cohort_start = whole_cohorts.cohort_start
    where cells.is_affected = 1 and whole_cohorts.grain is null
    group by cells.grain, cells.return_start
),

periods as (
    select
        periods.*,
        whole_cohorts.last_return,
        late_periods.first_cohort
    from (
        select * from {{ ref('int_user_periods') }}
        where {{ not_before_affected('cohort_start', 'period_start', var('retention_periods')) }}
    ) as periods
    left join whole_cohorts on periods.grain = whole_cohorts.grain and periods.period_start = whole_cohorts.cohort_start
    left join late_periods on periods.grain = late_periods.grain and periods.period_start = late_periods.return_start
),

sizes as (
    select
        grain,
        period_start as cohort_start,
        count(*) as active_users,
        count(case when status = 'new' then 1 end) as new_users
    from periods
    group by grain, period_start
),

pairs as (
    select
        one.grain,
        least(one.period_start, other.period_start) as cohort_start,
        greatest(one.period_start, other.period_start) as return_start,
        case when one.period_start < other.period_start then one.status else other.status end as status
    from periods as one
    inner join periods as other on one.grain = other.grain and one.user_id = other.user_id
    where
        (one.last_return is not null or one.first_cohort is not null)
        and case
            when one.period_start < other.period_start then other.period_start <= one.last_return and other.is_returning
            when one.period_start > other.period_start
                then other.last_return is null and one.first_cohort <= other.period_start and one.is_returning
            -- In its own period a cohort is whole, whatever made it one.
            else true
        end
),

returns as (
    select
        grain,
        cohort_start,
        return_start,
        count(*) as active_users,
        count(case when status = 'new' then 1 end) as new_users
    from pairs
    group by grain, cohort_start, return_start
),

counted as (
    select
        cells.grain,
        cells.cohort_start,
        cells.period_index,
        coalesce(sizes.active_users, 0) as active_users,
        coalesce(sizes.new_users, 0) as new_users,
        coalesce(returns.active_users, 0) as returned_users,
        coalesce(returns.new_users, 0) as returned_new_users
    from cells
    left join sizes on cells.grain = sizes.grain and cells.cohort_start = sizes.cohort_start
    left join returns
        on
            cells.grain = returns.grain and cells.cohort_start = returns.cohort_start
            and cells.return_start = returns.return_start
    where cells.is_affected = 1
),

cohorts as (
    select
        'first_time' as retention_type,
        grain,
        cohort_start,
        period_index,
        new_users as cohort_users,
        returned_new_users as retained_users
    from counted
    union all
    select
        'recurring' as retention_type,
        grain,
        cohort_start,
        period_index,
        active_users as cohort_users,
        returned_users as retained_users
    from counted
)

select
    retention_type,
    grain,
    cohort_start,
    period_index,
    cast(cohort_users as integer) as cohort_users,
    cast(retained_users as integer) as retained_users,
    cast(cast(retained_users as numeric(18, 4)) / nullif(cohort_users, 0) as numeric(18, 4)) as retention_rate
from cohorts
