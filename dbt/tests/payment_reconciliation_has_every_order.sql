{#- Every order is reconciled, once, with the total of its fact. -#}
with orders as (
    select
        count(*) as orders,
        coalesce(sum(total_amount), 0) as total_amount
    from {{ ref('fact_orders') }}
),

reconciled as (
    select
        count(*) as reconciled_orders,
        coalesce(sum(order_total), 0) as reconciled_amount
    from {{ ref('payment_reconciliation') }}
)

select
    orders.orders,
    reconciled.reconciled_orders,
    orders.total_amount,
    reconciled.reconciled_amount
from orders
cross join reconciled
where
    orders.orders <> reconciled.reconciled_orders
    or orders.total_amount <> reconciled.reconciled_amount
