{#- Every order in staging is a fact, once. -#}
with staged as (
    select count(*) as staged_orders from {{ ref('stg_orders') }}
),

facts as (
    select count(*) as fact_orders from {{ ref('fact_orders') }}
)

select
    staged.staged_orders,
    facts.fact_orders
from staged
cross join facts
where staged.staged_orders <> facts.fact_orders
