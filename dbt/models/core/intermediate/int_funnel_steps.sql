{#- The steps of seeds/funnels.csv, written as events are, each with its predecessor. -#}
{{ config(materialized='view') }}

-- repetition: how many of the funnel's steps up to this one are of its type. They need as many
-- events.
select
    funnel_id,
    step_number,
    lower(trim(event_type)) as event_type,
    lower(trim(mode)) as mode,
    window_days,
    lag(lower(trim(event_type))) over (
        partition by funnel_id order by step_number
    ) as previous_event_type,
    cast(
        row_number() over (
            partition by funnel_id, lower(trim(event_type)) order by step_number
        ) as integer
    ) as repetition
from {{ ref('funnels') }}
