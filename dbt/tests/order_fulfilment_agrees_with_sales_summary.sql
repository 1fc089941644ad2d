{#- Every sale is in one carrier's row, and in that of all of them. -#}
with fulfilment as (
    select
        grain,
        period_start,
        sum(case when carrier = 'all' then orders else 0 end) as orders_of_all,
        sum(case when carrier <> 'all' then orders else 0 end) as orders_by_carrier
    from {{ ref('order_fulfilment') }}
    group by grain, period_start
),

sales as (
    select
        grain,
        period_start,
        orders
    from {{ ref('sales_summary') }}
    where grain in ('day', 'month') and orders > 0
)

select
    coalesce(sales.grain, fulfilment.grain) as grain,
    coalesce(sales.period_start, fulfilment.period_start) as period_start,
    sales.orders,
    fulfilment.orders_of_all,
    fulfilment.orders_by_carrier
from sales
full join fulfilment on sales.grain = fulfilment.grain and sales.period_start = fulfilment.period_start
where
    coalesce(sales.orders, 0) <> coalesce(fulfilment.orders_of_all, 0)
    or coalesce(sales.orders, 0) <> coalesce(fulfilment.orders_by_carrier, 0)
