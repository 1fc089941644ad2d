{{
    config(
        rebuild_key=['grain', 'period_start'],
        indexes=[{'columns': ['grain', 'period_start'], 'unique': true}],
    )
}}

{% set grains = ["day", "month", "quarter"] %}

-- An order in a currency without a rate has no value, and would lower the average of the others.
with
{% for grain in grains -%}
{{ grain }}_orders as (
    select
        {{ period_of(grain, 'order_date') }} as period_start,
        count(*) as orders,
        count(gross_revenue) as valued_orders,
        count(distinct customer_id) as customers,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(cost) as cost
    from {{ ref('fact_orders') }}
    where is_sale and {{ within_affected_periods(grain, 'order_date') }}
    group by 1
),

{{ grain }}_refunds as (
    select
        {{ period_of(grain, 'paid_date') }} as period_start,
        sum(refunded_goods_amount) as refunds
    from {{ ref('fact_payments') }}
    where refunded_goods_amount is not null and {{ within_affected_periods(grain, 'paid_date') }}
    group by 1
),

{{ grain }}_sales as (
    select
        '{{ grain }}' as grain,
        coalesce(orders.period_start, refunds.period_start) as period_start,
        coalesce(orders.orders, 0) as orders,
        coalesce(orders.valued_orders, 0) as valued_orders,
        coalesce(orders.customers, 0) as customers,
        coalesce(orders.units, 0) as units,
        coalesce(orders.gross_revenue, 0) as gross_revenue,
        coalesce(orders.discounts, 0) as discounts,
        coalesce(refunds.refunds, 0) as refunds,
        coalesce(orders.cost, 0) as cost
    from {{ grain }}_orders as orders
    full join {{ grain }}_refunds as refunds on orders.period_start = refunds.period_start
),

{% endfor -%}
all_grains as (
    {% for grain in grains -%}
    select * from {{ grain }}_sales
    {{ "union all" if not loop.last }}
    {% endfor %}
)

select
    grain,
    period_start,
    cast(orders as integer) as orders,
    cast(valued_orders as integer) as valued_orders,
    cast(customers as integer) as customers,
    cast(units as bigint) as units,
    cast(gross_revenue as numeric(38, 4)) as gross_revenue,
    cast(discounts as numeric(38, 4)) as discounts,
    cast(refunds as numeric(38, 4)) as refunds,
    cast(gross_revenue - discounts - refunds as numeric(38, 4)) as net_revenue,
    cast(cost as numeric(38, 4)) as cost,
    cast(gross_revenue - discounts - refunds - cost as numeric(38, 4)) as gross_profit,
    cast((gross_revenue - discounts) / nullif(valued_orders, 0) as numeric(38, 4))
        as average_order_value
from all_grains
where {{ exact.affected('grain', 'period_start') }}

-- The keys that a change upstream affects.
{% for grain in grains %}
{% call exact.affected_when() %}
    select '{{ grain }}', {{ period_of(grain, 'changes.order_date') }}
    from {{ exact.changes('fact_orders') }}
    union
    select '{{ grain }}', {{ period_of(grain, 'changes.paid_date') }}
    from {{ exact.changes('fact_payments') }}
{% endcall %}
{% endfor %}
