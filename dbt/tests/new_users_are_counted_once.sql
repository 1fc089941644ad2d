{#-
  Every user is new in exactly one period of each grain. A user whose first activity is after the
  end of the calendar, which is today, does not count yet. The test reads the calendar as built,
  because rows that landed since may have moved "today".
-#}
with counted as (
    select
        grain,
        sum(new_users) as new_users
    from {{ ref('growth_accounting') }}
    group by grain
),

users as (
    select count(*) as users
    from {{ ref('int_first_activity') }}
    where first_date <= (select max(calendar.date_day) from {{ ref('dim_date') }} as calendar)
)

select
    counted.grain,
    counted.new_users,
    users.users
from counted
cross join users
where counted.new_users <> users.users
