{#- Every user is new in exactly one period of each grain; who is dated after today does not count yet. -#}
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
    where first_date <= (select today.as_of from {{ ref('as_of') }} as today)
)

select
    counted.grain,
    counted.new_users,
    users.users
from counted
cross join users
where counted.new_users <> users.users
