{#-
  From the first plausible day of a live load to "today". One row, with NULLs until something lands.
-#}
with live_loads as (
    select
        load_id,
        landed_on
    from {{ source('raw', 'loads') }}
    where superseded_by is null
),

plausible_days as (
    select
        -- Landing records days in UTC. In time zones behind UTC, the first of them begins on the
        -- previous day.
        {{ plus_days('days.event_day', 0 if var('reporting_timezone') == 'UTC' else -1) }}
            as event_day
    from {{ source('raw', 'touched_days') }} as days
    inner join live_loads on days.load_id = live_loads.load_id
    where
        days.rows_brought > 0
        and days.event_day >= cast('{{ var("earliest_day") }}' as date)
        and days.event_day <= {{ plus_days('live_loads.landed_on', 1) }}
),

first_days as (
    select event_day as first_day from plausible_days
    union all
    select landed_on as first_day from live_loads
)

select
    least(min(first_days.first_day), min(today.as_of)) as first_day,
    min(today.as_of) as last_day
from {{ ref('as_of') }} as today
left join first_days on first_days.first_day is not null
