{#- Every stock level in staging is a fact, once, with the same quantity. -#}
with staged as (
    select
        count(*) as staged_rows,
        coalesce(sum(on_hand), 0) as staged_units
    from {{ ref('stg_inventory') }}
),

facts as (
    select
        count(*) as fact_rows,
        coalesce(sum(on_hand), 0) as fact_units
    from {{ ref('fact_inventory_daily') }}
)

select
    staged.staged_rows,
    facts.fact_rows,
    staged.staged_units,
    facts.fact_units
from staged
cross join facts
where staged.staged_rows <> facts.fact_rows or staged.staged_units <> facts.fact_units
