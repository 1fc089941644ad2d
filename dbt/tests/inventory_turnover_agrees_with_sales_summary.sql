{#- The products of a month have all of its units and costs, to the last digit. -#}
with summary as (
    select
        period_start as month_start,
        units,
        cost
    from {{ ref('sales_summary') }}
    where grain = 'month'
),

mart as (
    select
        month_start,
        sum(units_sold) as units,
        sum(cost_of_goods_sold) as cost
    from {{ ref('inventory_turnover') }}
    group by month_start
)

select
    coalesce(summary.month_start, mart.month_start) as month_start,
    summary.units,
    mart.units as inventory_turnover_units,
    summary.cost,
    mart.cost as inventory_turnover_cost
from summary
full join mart on summary.month_start = mart.month_start
where
    coalesce(summary.units, 0) <> coalesce(mart.units, 0)
    or coalesce(summary.cost, 0) <> coalesce(mart.cost, 0)
