{#- By the last week, everybody who ever used a feature is an adopter of it, and was new once. -#}
with counted as (
    select
        feature,
        max(adopters) as adopters,
        sum(new_users) as new_users
    from {{ ref('feature_engagement') }}
    group by feature
),

-- A first use with a date after today does not count yet.
users as (
    select
        feature,
        count(*) as users
    from {{ ref('int_feature_adoption') }}
    where first_date <= (select max(calendar.date_day) from {{ ref('dim_date') }} as calendar)
    group by feature
)

select
    counted.feature,
    counted.adopters,
    counted.new_users,
    users.users
from counted
left join users on counted.feature = users.feature
where counted.adopters <> coalesce(users.users, 0) or counted.new_users <> coalesce(users.users, 0)
