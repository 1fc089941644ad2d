{{
    config(
        rebuild_key=['customer_id'],
        indexes=[{'columns': ['customer_id'], 'unique': true}, {'columns': ['cohort_month']}],
    )
}}

{% set bands = var("health_bands") %}

-- Of several subscriptions, the one whose period began last counts, as in int_customer_plans.
with periods as (
    select
        periods.customer_id,
        coalesce(periods.plan_id, 'unknown') as plan,
        row_number() over (
            partition by periods.customer_id
            order by periods.period_start desc, periods.subscription_id desc
        ) as position
    from {{ ref('fact_subscription_periods') }} as periods
    inner join {{ ref('int_customer_health') }} as today
        on periods.customer_id = today.customer_id
    where
        periods.period_start <= today.as_of
        and (periods.period_end > today.as_of or periods.period_end is null)
        and {{ exact.affected('periods.customer_id') }}
)

select
    health.customer_id,
    health.as_of,
    customers.name,
    customers.segment,
    customers.country,
    coalesce(periods.plan, 'none') as plan,
    {{ period_of('month', 'sales.first_order_date') }} as cohort_month,
    sales.first_order_at,
    sales.last_order_at,
    coalesce(sales.orders, 0) as orders,
    coalesce(sales.units, 0) as units,
    cast(coalesce(sales.net_sales, 0) as numeric(38, 4)) as net_sales,
    cast(coalesce(sales.refunds, 0) as numeric(38, 4)) as refunds,
    cast(coalesce(sales.net_revenue, 0) as numeric(38, 4)) as net_revenue,
    cast(sales.net_sales / nullif(sales.valued_orders, 0) as numeric(38, 4)) as average_order_value,
    scores.recency_days,
    sales.orders as frequency,
    sales.net_revenue as monetary,
    scores.r_score,
    scores.f_score,
    scores.m_score,
    scores.rfm_segment,
    health.events_last_30_days,
    health.events_previous_30_days,
    health.features_used,
    health.payment_attempts,
    health.failed_payments,
    health.usage_points,
    health.recency_points,
    health.payment_points,
    health.feature_points,
    health.health_score,
    case
        when health.health_score >= {{ bands["healthy"] }} then 'healthy'
        when health.health_score >= {{ bands["at_risk"] }} then 'at_risk'
        else 'critical'
    end as health_band
from {{ ref('int_customer_health') }} as health
left join {{ ref('dim_customers') }} as customers
    on health.customer_id = customers.customer_id and customers.is_current
left join periods on health.customer_id = periods.customer_id and periods.position = 1
left join {{ ref('int_customer_orders') }} as sales on health.customer_id = sales.customer_id
left join {{ ref('int_customer_scores') }} as scores on health.customer_id = scores.customer_id
where {{ exact.affected('health.customer_id') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('dim_customers', ['customer_id']) }}
{{ exact.affected_by('int_customer_orders', ['customer_id']) }}
{{ exact.affected_by('int_customer_scores', ['customer_id']) }}
{{ exact.affected_by('int_customer_health', ['customer_id']) }}
{{ exact.affected_by('fact_subscription_periods', ['customer_id']) }}
