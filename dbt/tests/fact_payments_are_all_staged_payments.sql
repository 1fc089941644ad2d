{#- Every payment in staging is a fact, once, and to the cent. -#}
with staged as (
    select
        count(*) as staged_payments,
        coalesce(sum(amount), 0) as staged_amount
    from {{ ref('stg_payments') }}
),

facts as (
    select
        count(*) as fact_payments,
        coalesce(sum(amount), 0) as fact_amount
    from {{ ref('fact_payments') }}
)

select
    staged.staged_payments,
    facts.fact_payments,
    staged.staged_amount,
    facts.fact_amount
from staged
cross join facts
where staged.staged_payments <> facts.fact_payments or staged.staged_amount <> facts.fact_amount
