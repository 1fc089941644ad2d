{#- The counts by month and over all months equal those of the baskets. -#}
with baskets as (
    select
        count(distinct order_id) as orders,
        count(*) as order_products
    from {{ ref('int_baskets') }}
),

months as (
    select coalesce(sum(orders), 0) as orders
    from {{ ref('int_basket_months') }}
),

pair_months as (
    select
        coalesce(
            sum(case when product_id = other_product_id then orders_together end), 0
        ) as order_products,
        coalesce(sum(orders_together), 0) as order_pairs
    from {{ ref('int_product_pair_months') }}
),

pairs as (
    select coalesce(sum(orders_together), 0) as order_pairs
    from {{ ref('int_product_pairs') }}
)

select
    baskets.orders,
    months.orders as orders_of_months,
    baskets.order_products,
    pair_months.order_products as order_products_of_months,
    pair_months.order_pairs as order_pairs_of_months,
    pairs.order_pairs
from baskets
cross join months
cross join pair_months
cross join pairs
where
    baskets.orders <> months.orders
    or baskets.order_products <> pair_months.order_products
    or pair_months.order_pairs <> pairs.order_pairs
