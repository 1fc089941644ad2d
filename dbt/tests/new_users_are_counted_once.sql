{#- Every user who has been active by today is new in exactly one period of each grain. -#}
with counted as (
    select
        grain,
        sum(new_users) as new_users
    from {{ ref('growth_accounting') }}
    group by grain
),

users as (
    select count(*) as active_users_ever
    from {{ ref('int_first_activity') }} as first_days
    cross join {{ ref('as_of') }} as today
    where first_days.first_date <= today.as_of
)

select
    counted.grain,
    counted.new_users,
    users.active_users_ever
from counted
cross join users
where counted.new_users <> users.active_users_ever
