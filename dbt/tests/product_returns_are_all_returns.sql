{#- Every piece that came back is in the row of its reason and in that of all reasons. -#}
with facts as (
    select
        coalesce(sum(quantity), 0) as units,
        coalesce(sum(refund_revenue), 0) as refund_amount
    from {{ ref('fact_returns') }}
    where is_sale or order_id is null
),

mart as (
    select
        coalesce(sum(case when reason = 'all' then units_returned else 0 end), 0) as units_of_all,
        coalesce(sum(case when reason <> 'all' then units_returned else 0 end), 0) as units_by_reason,
        coalesce(sum(case when reason = 'all' then refund_amount else 0 end), 0) as refund_amount_of_all,
        coalesce(sum(case when reason <> 'all' then refund_amount else 0 end), 0) as refund_amount_by_reason
    from {{ ref('product_returns') }}
)

select
    facts.units,
    facts.refund_amount,
    mart.units_of_all,
    mart.units_by_reason,
    mart.refund_amount_of_all,
    mart.refund_amount_by_reason
from facts
cross join mart
where
    facts.units <> mart.units_of_all
    or facts.units <> mart.units_by_reason
    or facts.refund_amount <> mart.refund_amount_of_all
    or facts.refund_amount <> mart.refund_amount_by_reason
