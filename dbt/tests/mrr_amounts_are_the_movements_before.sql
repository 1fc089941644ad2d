{#-
  The amount paid at the end of a month, in each currency, is the sum of all movements up to that
  day.
-#}
with moved as (
    select
        months.month_start,
        movements.currency,
        sum(movements.amount_change) as amount
    from {{ ref('int_month_ends') }} as months
    inner join {{ ref('int_subscription_movements') }} as movements
        on months.valued_on >= movements.movement_date
    group by months.month_start, movements.currency
),

paid as (
    select
        month_start,
        currency,
        sum(amount) as amount
    from {{ ref('int_mrr_amounts') }}
    group by month_start, currency
)

select
    coalesce(moved.month_start, paid.month_start) as month_start,
    coalesce(moved.currency, paid.currency) as currency,
    moved.amount as moved_amount,
    paid.amount as paid_amount
from moved
full join paid on moved.month_start = paid.month_start and moved.currency = paid.currency
where coalesce(moved.amount, 0) <> coalesce(paid.amount, 0)
