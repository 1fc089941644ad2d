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
users as (
    select
        adoption.feature,
        count(*) as users
    from {{ ref('int_feature_adoption') }} as adoption
    where adoption.first_date < (
        select {{ plus_periods('week', 'max(engagement.week_start)', 1) }} from {{ ref('feature_engagement') }} as engagement
    )
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
