{#-
  Every user is new in exactly one period of each grain; who is dated after the calendar, which ends
  today, does not count yet. The calendar is as it was built: "today" itself may have moved since,
  by what landed.
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
