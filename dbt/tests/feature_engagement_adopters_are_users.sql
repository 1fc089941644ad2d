{#- By the last week everybody who ever used a feature is an adopter of it, and was new once. -#}
with counted as (
    select
        feature,
        max(adopters) as adopters,
        sum(new_users) as new_users
    from {{ ref('feature_engagement') }}
    group by feature
),

-- Who first did so by the end of the last week of the calendar, which may end before the events do.
last_week as (
    select max(week_start) as week_start
    from {{ ref('feature_engagement') }}
),

users as (
    select
        adoption.feature,
        count(*) as users
    from {{ ref('int_feature_adoption') }} as adoption
    cross join last_week
    where {{ period_of('week', 'adoption.first_date') }} <= last_week.week_start
    group by adoption.feature
)

select
    counted.feature,
    counted.adopters,
    counted.new_users,
    users.users
from counted
left join users on counted.feature = users.feature
where counted.adopters <> coalesce(users.users, 0) or counted.new_users <> coalesce(users.users, 0)
