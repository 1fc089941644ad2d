{#-
  In every month, opening MRR + movements + change by rates = closing MRR. Every month opens with
  the closing MRR of the previous one.
-#}
with months as (
    select
        month_start,
        sum(opening_mrr) as opening_mrr,
        sum(amount) as amount,
        sum(fx_change) as fx_change,
        sum(closing_mrr) as closing_mrr
    from {{ ref('mrr_movements') }}
    group by month_start
),

followed as (
    select
        spine.month_start,
        coalesce(months.opening_mrr, 0) as opening_mrr,
        coalesce(months.amount, 0) as amount,
        coalesce(months.fx_change, 0) as fx_change,
        coalesce(months.closing_mrr, 0) as closing_mrr,
        coalesce(lag(months.closing_mrr) over (order by spine.month_start), 0) as closed_before
    from {{ ref('int_month_ends') }} as spine
    left join months on spine.month_start = months.month_start
)

select * from followed
where opening_mrr + amount + fx_change <> closing_mrr or opening_mrr <> closed_before
