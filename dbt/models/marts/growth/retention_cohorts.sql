{{
    config(
        unit=['grain', 'cohort_start', 'period_index'],
        looks_at=['int_retention_cells'],
        indexes=[{'columns': ['grain', 'cohort_start', 'period_index', 'retention_type'], 'unique': true}],
        pre_hook=['set local enable_nestloop = off', 'set local enable_sort = off'],
    )
}}

-- The planner takes a few cells for a few users, where a cell stands for all of a period's. So it may neither look each
-- user up, which takes longer than reading the periods once, nor sort all users to count them (pre_hook).

-- Who is active in a period belongs to the cohort of that period, and has come back to the cohorts before it.
{% for role in ['cohort_start', 'return_start'] %}
{% call touched_when() %}
    select cells.grain, cells.cohort_start, cells.period_index
    from {{ changes('int_user_periods') }}
    inner join {{ ref('int_retention_cells') }} as cells
        on changes.grain = cells.grain and changes.period_start = cells.{{ role }}
{% endcall %}
{% endfor %}

-- Cells that the calendar gained or lost.
{% call touched_when() %}
    select
        coalesce(cells.grain, held.grain),
        coalesce(cells.cohort_start, held.cohort_start),
        coalesce(cells.period_index, held.period_index)
    from {{ ref('int_retention_cells') }} as cells
    full join (select * from {{ this }} where retention_type = 'recurring') as held
        on
            cells.grain = held.grain
            and cells.cohort_start = held.cohort_start
            and cells.period_index = held.period_index
    where cells.grain is null or held.grain is null
{% endcall %}

with cells as (
    select *
    from {{ ref('int_retention_cells') }}
    where {{ touched('grain', 'cohort_start', 'period_index') }}
),

periods as (
    select
        grain,
        period_start,
        user_id,
        status,
        is_returning
    from {{ ref('int_user_periods') }}
    where {{ not_before_touched('cohort_start', 'period_start', var('retention_periods')) }}
),

spans as (
    select
        grain,
        cohort_start,
        min(return_start) as first_return,
        max(return_start) as last_return
    from cells
    group by grain, cohort_start
),

members as (
    select
        spans.*,
        periods.user_id,
        periods.status
    from spans
    inner join periods on spans.grain = periods.grain and spans.cohort_start = periods.period_start
),

sizes as (
    select
        grain,
        cohort_start,
        count(*) as active_users,
        count(case when status = 'new' then 1 end) as new_users
    from members
    group by grain, cohort_start
),

-- A member finds its own periods: far fewer than the cells of its cohort, in most of which it did not come back.
returns as (
    select
        members.grain,
        members.cohort_start,
        periods.period_start as return_start,
        count(*) as active_users,
        count(case when members.status = 'new' then 1 end) as new_users
    from members
    inner join periods
        on
            members.grain = periods.grain
            and members.user_id = periods.user_id
            and members.first_return <= periods.period_start
            and members.last_return >= periods.period_start
    -- In its own period a cohort is whole, whatever made it one.
    where periods.is_returning or members.cohort_start = periods.period_start
    group by members.grain, members.cohort_start, periods.period_start
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
    left join sizes
        on cells.grain = sizes.grain and cells.cohort_start = sizes.cohort_start
    left join returns
        on
            cells.grain = returns.grain
            and cells.cohort_start = returns.cohort_start
            and cells.return_start = returns.return_start
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
