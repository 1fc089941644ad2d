{#-
  The number of users active on a day is the same in fact_daily_events, active_users and
  growth_accounting.
-#}
with growth as (
    select
        period_start as date_day,
        active_users
    from {{ ref('growth_accounting') }}
    where grain = 'day'
)

select
    coalesce(active_users.date_day, growth.date_day, daily.event_date) as date_day,
    daily.daily_active_users,
    active_users.dau,
    growth.active_users
from {{ ref('active_users') }} as active_users
full join growth on active_users.date_day = growth.date_day
full join {{ ref('fact_daily_events') }} as daily on active_users.date_day = daily.event_date
where
    -- A fast clock may date an event a day after "today", on a day that is not in the calendar yet.
    coalesce(active_users.date_day, growth.date_day, daily.event_date)
    <= (select max(calendar.date_day) from {{ ref('dim_date') }} as calendar)
    and (
        active_users.dau is null
        or growth.active_users is null
        or active_users.dau <> growth.active_users
        or active_users.dau <> coalesce(daily.daily_active_users, 0)
    )
