{#-
  A customer's months follow each other without a gap, from the first paid month to the month after
  the last one, or to the current month.
-#}
with lives as (
    select
        customer_id,
        min(month_start) as first_month,
        max(month_start) as last_month,
        count(*) as months
    from {{ ref('mrr') }}
    group by customer_id
),

paid as (
    select
        customer_id,
        min(month_start) as first_month,
        max(month_start) as last_month
    from {{ ref('int_mrr_amounts') }}
    group by customer_id
),

expected as (
    select
        paid.customer_id,
        min(spine.month_start) as first_month,
        max(spine.month_start) as last_month,
        count(*) as months
    from paid
    inner join {{ ref('int_month_ends') }} as spine
        on
            paid.first_month <= spine.month_start
            and spine.month_start <= {{ plus_periods('month', 'paid.last_month', 1) }}
    group by paid.customer_id
)

select
    coalesce(lives.customer_id, expected.customer_id) as customer_id,
    lives.months,
    expected.months as expected_months
from lives
full join expected on lives.customer_id = expected.customer_id
where
    coalesce(lives.months, 0) <> coalesce(expected.months, 0)
    or lives.first_month <> expected.first_month
    or lives.last_month <> expected.last_month
