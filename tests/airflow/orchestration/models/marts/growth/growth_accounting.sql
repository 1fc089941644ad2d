{{ config(materialized='view') }}

select
    'week' as grain,
    cast(null as date) as period_start,
    0 as active_users,
    0 as new_users,
    0 as retained_users,
    0 as resurrected_users,
    0 as churned_users
where false
