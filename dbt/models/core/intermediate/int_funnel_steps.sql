{#- The steps of seeds/funnels.csv, written as events are, each with what stands before it in its funnel. -#}
{{ config(materialized='view') }}

select
    funnel_id,
    step_number,
    lower(trim(event_type)) as event_type,
    lower(trim(mode)) as mode,
    window_days,
    lag(lower(trim(event_type))) over (partition by funnel_id order by step_number) as previous_event_type,
    -- How many of the funnel's steps up to this one are of its type: they need as many events.
    cast(
        row_number() over (partition by funnel_id, lower(trim(event_type)) order by step_number) as integer
    ) as repetition
from {{ ref('funnels') }}
