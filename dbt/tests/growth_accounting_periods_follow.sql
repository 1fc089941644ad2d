{#-
  A user who was active in a period is retained or churned in the next one. The periods follow each
  other without a gap. The first period has nobody to retain or to lose.
-#}
with periods as (
    select
        grain,
        period_start,
        active_users,
        retained_users,
        churned_users,
        lag(period_start) over (partition by grain order by period_start) as previous_start,
        coalesce(
            lag(active_users) over (partition by grain order by period_start), 0
        ) as previous_active_users
    from {{ ref('growth_accounting') }}
)

select
    grain,
    previous_start,
    period_start,
    previous_active_users,
    retained_users,
    churned_users
from periods
where
    previous_active_users <> retained_users + churned_users
    or (grain = 'day' and previous_start <> {{ plus_periods('day', 'period_start', -1) }})
    or (grain = 'week' and previous_start <> {{ plus_periods('week', 'period_start', -1) }})
    or (grain = 'month' and previous_start <> {{ plus_periods('month', 'period_start', -1) }})
