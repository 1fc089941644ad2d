{{
    config(
        rebuild_key=['month_start'],
        change_log=['product_id', 'other_product_id'],
        indexes=[
            {'columns': ['product_id', 'other_product_id', 'month_start'], 'unique': true},
            {'columns': ['month_start']},
        ],
    )
}}

with baskets as (
    select *
    from {{ ref('int_baskets') }}
    where {{ within_affected('month', 'order_date') }}
)

select
    baskets.month_start,
    baskets.product_id,
    others.product_id as other_product_id,
    cast(count(*) as integer) as orders_together
from baskets
inner join baskets as others
    on baskets.order_id = others.order_id and baskets.product_id <= others.product_id
group by baskets.month_start, baskets.product_id, others.product_id

-- The keys that a change upstream affects: the whole month, because one more product makes pairs
-- with all others of its order.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.order_date') }} from {{ exact.changes('int_baskets') }}
{% endcall %}
