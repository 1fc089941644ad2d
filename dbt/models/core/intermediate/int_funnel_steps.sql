{#- The steps of seeds/funnels.csv, spelled like events, each with its predecessor. -#}
{{ config(materialized='view') }}

-- repetition: the number of the funnel's steps of this type up to this one, which need as many
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
