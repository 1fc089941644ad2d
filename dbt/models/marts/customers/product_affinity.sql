{{
    config(
        rebuild_key=['product_id', 'other_product_id'],
        indexes=[{'columns': ['product_id', 'other_product_id'], 'unique': true}],
    )
}}

-- Every build rebuilds all pairs, so the definition has no affected(): it would only be one more
-- join of all pairs with all pairs.
with pairs as (
    select
        product_id,
        other_product_id,
        orders_together
    from {{ ref('int_product_pairs') }}
    where orders_together >= {{ var("affinity_min_orders") }}
),

-- A pair with itself: all orders of the product.
products as (
    select
        product_id,
        orders_together as orders
    from pairs
    where product_id = other_product_id
),

baskets as (
    select sum(orders) as orders from {{ ref('int_basket_months') }}
),

both_ways as (
    select * from pairs
    where product_id <> other_product_id
    union all
    select
        other_product_id as product_id,
        product_id as other_product_id,
        orders_together
    from pairs
    where product_id <> other_product_id
)

select
    both_ways.product_id,
    both_ways.other_product_id,
    both_ways.orders_together,
    products.orders as product_orders,
    others.orders as other_product_orders,
    cast(baskets.orders as integer) as all_orders,
    cast(cast(both_ways.orders_together as numeric(18, 4)) / baskets.orders as numeric(18, 8))
        as support,
    cast(cast(both_ways.orders_together as numeric(18, 4)) / products.orders as numeric(18, 8))
        as confidence,
    cast(
        cast(both_ways.orders_together as numeric(18, 4)) * baskets.orders
        / (cast(products.orders as numeric(18, 4)) * others.orders) as numeric(18, 8)
    ) as lift
from both_ways
inner join products on both_ways.product_id = products.product_id
inner join products as others on both_ways.other_product_id = others.product_id
cross join baskets

-- The keys that a change upstream affects: all pairs, because the number of all orders is in every
-- figure. They are rebuilt from one count for each pair.
{% call exact.affected_when() %}
    select pairs.product_id, pairs.other_product_id
    from (
        select product_id, other_product_id from {{ ref('int_product_pairs') }}
        where orders_together >= {{ var("affinity_min_orders") }}
        union
        select other_product_id, product_id from {{ ref('int_product_pairs') }}
        where orders_together >= {{ var("affinity_min_orders") }}
        union
        select product_id, other_product_id from {{ this }}
    ) as pairs
    where
        exists (select 1 from {{ exact.changes('int_product_pairs') }})
        or exists (select 1 from {{ exact.changes('int_basket_months') }})
{% endcall %}
