{#-
  The sales of all products in a month are those of sales_summary, to the last digit.
-#}
with products as (
    select
        month_start,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(cost) as cost
    from {{ ref('product_performance') }}
    group by month_start
),

sales as (
    select
        period_start as month_start,
        units,
        gross_revenue,
        discounts,
        cost
    from {{ ref('sales_summary') }}
    where grain = 'month'
)

select
    coalesce(products.month_start, sales.month_start) as month_start,
    products.units,
    sales.units as expected_units,
    products.gross_revenue,
    sales.gross_revenue as expected_gross_revenue,
    products.discounts,
    sales.discounts as expected_discounts,
    products.cost,
    sales.cost as expected_cost
from products
full join sales on products.month_start = sales.month_start
where
    coalesce(products.units, 0) <> coalesce(sales.units, 0)
    or coalesce(products.gross_revenue, 0) <> coalesce(sales.gross_revenue, 0)
    or coalesce(products.discounts, 0) <> coalesce(sales.discounts, 0)
    or coalesce(products.cost, 0) <> coalesce(sales.cost, 0)
