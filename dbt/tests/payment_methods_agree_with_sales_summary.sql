{#- The methods of a month have all of its revenue, to the last digit. -#}
with summary as (
    select
        period_start as month_start,
        gross_revenue - discounts as net_sales,
        refunds,
        net_revenue
    from {{ ref('sales_summary') }}
    where grain = 'month'
),

mart as (
    select
        month_start,
        sum(net_sales) as net_sales,
        sum(refunds) as refunds,
        sum(net_revenue) as net_revenue
    from {{ ref('payment_methods') }}
    group by month_start
)

select
    coalesce(summary.month_start, mart.month_start) as month_start,
    summary.net_sales,
    mart.net_sales as payment_methods_net_sales,
    summary.refunds,
    mart.refunds as payment_methods_refunds,
    summary.net_revenue,
    mart.net_revenue as payment_methods_net_revenue
from summary
full join mart on summary.month_start = mart.month_start
where
    coalesce(summary.net_sales, 0) <> coalesce(mart.net_sales, 0)
    or coalesce(summary.refunds, 0) <> coalesce(mart.refunds, 0)
    or coalesce(summary.net_revenue, 0) <> coalesce(mart.net_revenue, 0)
