{#- The revenue of all customers is that of sales_summary, to the last digit. -#}
with customers as (
    select
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(units), 0) as units,
        coalesce(sum(net_sales), 0) as net_sales,
        coalesce(sum(refunds), 0) as refunds,
        coalesce(sum(net_revenue), 0) as net_revenue
    from {{ ref('customer_summary') }}
),

sales as (
    select
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(units), 0) as units,
        coalesce(sum(gross_revenue - discounts), 0) as net_sales,
        coalesce(sum(refunds), 0) as refunds,
        coalesce(sum(net_revenue), 0) as net_revenue
    from {{ ref('sales_summary') }}
    where grain = 'month'
)

select
    customers.*,
    sales.orders as expected_orders,
    sales.units as expected_units,
    sales.net_sales as expected_net_sales,
    sales.refunds as expected_refunds,
    sales.net_revenue as expected_net_revenue
from customers
cross join sales
where
    customers.orders <> sales.orders
    or customers.units <> sales.units
    or customers.net_sales <> sales.net_sales
    or customers.refunds <> sales.refunds
    or customers.net_revenue <> sales.net_revenue
