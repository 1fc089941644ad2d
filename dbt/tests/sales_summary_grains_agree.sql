{#-
  Days, months and quarters of sales_summary have the same totals as the facts, to the last digit.
-#}
{% set figures = [
    "orders", "units", "gross_revenue", "discounts", "refunds", "net_revenue", "cost",
    "gross_profit",
] %}

with facts as (
    select
        count(*) as orders,
        coalesce(sum(units), 0) as units,
        coalesce(sum(gross_revenue), 0) as gross_revenue,
        coalesce(sum(discounts), 0) as discounts
    from {{ ref('fact_orders') }}
    where is_sale
),

refunds as (
    select coalesce(sum(refunded_goods_amount), 0) as refunds
    from {{ ref('fact_payments') }}
),

costs as (
    select coalesce(sum(cost), 0) as cost
    from {{ ref('fact_order_items') }}
    where is_sale
),

expected as (
    select
        facts.*,
        refunds.refunds,
        facts.gross_revenue - facts.discounts - refunds.refunds as net_revenue,
        costs.cost,
        facts.gross_revenue - facts.discounts - refunds.refunds - costs.cost as gross_profit
    from facts
    cross join refunds
    cross join costs
),

grains as (
    select 'day' as grain
    union all
    select 'month' as grain
    union all
    select 'quarter' as grain
),

totals as (
    select
        grains.grain,
        {% for figure in figures %}
        coalesce(sum(sales.{{ figure }}), 0) as {{ figure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from grains
    left join {{ ref('sales_summary') }} as sales on grains.grain = sales.grain
    group by grains.grain
)

select
    totals.grain,
    {% for figure in figures %}
    totals.{{ figure }},
    expected.{{ figure }} as expected_{{ figure }}{% if not loop.last %},{% endif %}
    {% endfor %}
from totals
cross join expected
where
    false
    {% for figure in figures %}
    or totals.{{ figure }} <> expected.{{ figure }}
    {% endfor %}
