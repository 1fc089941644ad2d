{#-
  Attribution divides among the channels what sales_summary reports as sold in each month, before
  refunds.
-#}
with converted as (
    select
        {{ period_of('month', 'converted_on') }} as month_start,
        count(*) as orders,
        sum(revenue) as revenue
    from {{ ref('int_conversions') }}
    where kind = 'order'
    group by {{ period_of('month', 'converted_on') }}
),

sold as (
    select
        period_start as month_start,
        orders,
        gross_revenue - discounts as revenue
    from {{ ref('sales_summary') }}
    where grain = 'month'
)

select
    coalesce(converted.month_start, sold.month_start) as month_start,
    converted.orders as converted_orders,
    sold.orders as sold_orders,
    converted.revenue as converted_revenue,
    sold.revenue as sold_revenue
from converted
full join sold on converted.month_start = sold.month_start
where
    coalesce(converted.orders, 0) <> coalesce(sold.orders, 0)
    or coalesce(converted.revenue, 0) <> coalesce(sold.revenue, 0)
