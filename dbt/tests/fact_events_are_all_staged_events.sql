{#- Every event in staging is a fact, once. -#}
with staged as (
    select count(*) as staged_events from {{ ref('stg_events') }}
),

facts as (
    select count(*) as fact_events from {{ ref('fact_events') }}
)

select
    staged.staged_events,
    facts.fact_events
from staged
cross join facts
where staged.staged_events <> facts.fact_events
