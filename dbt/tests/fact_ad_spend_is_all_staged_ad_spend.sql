{#- Every row of ad_spend in staging is a fact, once. -#}
with staged as (
    select count(*) as staged_rows from {{ ref('stg_ad_spend') }}
),

facts as (
    select count(*) as fact_rows from {{ ref('fact_ad_spend') }}
)

select
    staged.staged_rows,
    facts.fact_rows
from staged
cross join facts
where staged.staged_rows <> facts.fact_rows
