{{ config(materialized='view') }}

select
    date_day as event_date,
    dau as total_events,
    dau as daily_active_users,
    0 as signup_events
from {{ ref('active_users') }}
