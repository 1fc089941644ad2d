{#-
  Each dimension divides the users of a step among its values, and no step has more users than the
  one before.
-#}
with steps as (
    select
        funnel_id,
        entry_date,
        step_number,
        dimension,
        sum(users) as users
    from {{ ref('funnel_conversion') }}
    group by funnel_id, entry_date, step_number, dimension
),

compared as (
    select
        *,
        sum(case when dimension = 'total' then users end) over (
            partition by funnel_id, entry_date, step_number
        ) as total_users,
        lag(users) over (
            partition by funnel_id, entry_date, dimension order by step_number
        ) as previous_users
    from steps
)

select *
from compared
where users <> total_users or users > previous_users
