{#- The days of fact_daily_events count all events of fact_events, and no others. -#}
with daily as (
    select coalesce(sum(total_events), 0) as total_events from {{ ref('fact_daily_events') }}
),

facts as (
    select count(*) as total_events from {{ ref('fact_events') }}
)

select
    daily.total_events as daily_total,
    facts.total_events as event_total
from daily
cross join facts
where daily.total_events <> facts.total_events
