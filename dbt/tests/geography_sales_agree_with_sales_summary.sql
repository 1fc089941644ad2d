{#- The countries of a month have all of its sales, to the last digit. -#}
with summary as (
    select
        period_start as month_start,
        orders,
        units,
        gross_revenue,
        discounts,
        refunds,
        net_revenue
    from {{ ref('sales_summary') }}
    where grain = 'month'
),

mart as (
    select
        month_start,
        sum(orders) as orders,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(refunds) as refunds,
        sum(net_revenue) as net_revenue
    from {{ ref('geography_sales') }}
    group by month_start
)

select
    coalesce(summary.month_start, mart.month_start) as month_start,
    summary.orders,
    mart.orders as geography_sales_orders,
    summary.units,
    mart.units as geography_sales_units,
    summary.gross_revenue,
    mart.gross_revenue as geography_sales_gross_revenue,
    summary.discounts,
    mart.discounts as geography_sales_discounts,
    summary.refunds,
    mart.refunds as geography_sales_refunds,
    summary.net_revenue,
    mart.net_revenue as geography_sales_net_revenue
from summary
full join mart on summary.month_start = mart.month_start
where
    coalesce(summary.orders, 0) <> coalesce(mart.orders, 0)
    or coalesce(summary.units, 0) <> coalesce(mart.units, 0)
    or coalesce(summary.gross_revenue, 0) <> coalesce(mart.gross_revenue, 0)
    or coalesce(summary.discounts, 0) <> coalesce(mart.discounts, 0)
    or coalesce(summary.refunds, 0) <> coalesce(mart.refunds, 0)
    or coalesce(summary.net_revenue, 0) <> coalesce(mart.net_revenue, 0)
