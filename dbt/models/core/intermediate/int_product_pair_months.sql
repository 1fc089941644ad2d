{{
    config(
        unit=['order_month'],
        feed=['product_id', 'other_product_id'],
        indexes=[
            {'columns': ['product_id', 'other_product_id', 'order_month'], 'unique': true},
            {'columns': ['order_month']},
        ],
    )
}}

-- A month is counted anew as a whole: one more product makes pairs with all the others of its order.
{% call touched_when() %}
    select {{ period_of('month', 'changes.order_date') }} from {{ changes('int_baskets') }}
{% endcall %}

with baskets as {{ materialized_cte() }} (
    select *
    from {{ ref('int_baskets') }}
    where
        {{ touched('order_month') }}
        and {{ when_touched(
            "order_date >= (select min(order_month) from touched) and order_date < (select "
            ~ plus_periods("month", "max(order_month)", 1) ~ " from touched)"
        ) }}
)

select
    baskets.order_month,
    baskets.product_id,
    others.product_id as other_product_id,
    cast(count(*) as integer) as orders_together
from baskets
inner join baskets as others
    on baskets.order_id = others.order_id and baskets.product_id <= others.product_id
group by baskets.order_month, baskets.product_id, others.product_id
