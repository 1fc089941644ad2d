{{
    config(
        rebuild_key=['product_id', 'other_product_id'],
        indexes=[
            {'columns': ['product_id', 'other_product_id'], 'unique': true},
            {'columns': ['orders_together']},
        ],
    )
}}

select
    product_id,
    other_product_id,
    cast(sum(orders_together) as integer) as orders_together
from {{ ref('int_product_pair_months') }}
where {{ exact.affected('product_id', 'other_product_id') }}
group by product_id, other_product_id

-- The keys that a change upstream affects.
{{ exact.affected_by('int_product_pair_months', ['product_id', 'other_product_id']) }}
