{#- Every row of sessions in staging is a fact, once. -#}
with staged as (
    select count(*) as staged_rows from {{ ref('stg_sessions') }}
),

facts as (
    select count(*) as fact_rows from {{ ref('fact_sessions') }}
)

select
    staged.staged_rows,
    facts.fact_rows
from staged
cross join facts
where staged.staged_rows <> facts.fact_rows
