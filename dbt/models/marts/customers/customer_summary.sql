{{ config(unit=['customer_id'], indexes=[{'columns': ['customer_id'], 'unique': true}, {'columns': ['cohort_month']}]) }}

{% set features = var("features") %}
{% set bands = var("health_bands") %}

-- Scores compare everybody with everybody, and "today" moves everybody's windows: whatever changes, all are made anew, from rows
-- per customer (int_customer_orders) and from the customers' days of the last three months, never from orders or events.
{% call touched_when() %}
    select everybody.customer_id
    from (
        select customer_id from {{ ref('dim_customers') }}
        union
        select customer_id from {{ ref('int_customer_orders') }}
        union
        select customer_id from {{ this }}
    ) as everybody
    where
        exists (select 1 from {{ changes('dim_customers') }})
        or exists (select 1 from {{ changes('int_customer_orders') }})
        or exists (select 1 from {{ changes('int_customer_days') }})
        or exists (select 1 from {{ changes('int_customer_payments') }})
        or exists (
            select 1
            from {{ this }} as held
            cross join {{ ref('as_of') }} as today
            where held.as_of <> today.as_of
        )
{% endcall %}

with current_customers as (
    select *
    from {{ ref('dim_customers') }}
    where is_current and customer_id <> ''
),

customers as (
    select
        today.as_of,
        coalesce(known.customer_id, sales.customer_id) as customer_id,
        known.name,
        known.segment,
        known.country,
        sales.first_order_date,
        sales.last_order_date,
        sales.first_order_at,
        sales.last_order_at,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.units, 0) as units,
        coalesce(sales.net_sales, 0) as net_sales,
        coalesce(sales.refunds, 0) as refunds,
        coalesce(sales.net_revenue, 0) as net_revenue,
        -- An order can be a day ahead of today, by a clock that is wrong.
        case
            when sales.last_order_date <= today.as_of then {{ days_from('sales.last_order_date', 'today.as_of') }}
            when sales.last_order_date > today.as_of then 0
        end as recency_days
    from current_customers as known
    full join {{ ref('int_customer_orders') }} as sales on known.customer_id = sales.customer_id
    cross join {{ ref('as_of') }} as today
),

placed as (
    select
        recency_days,
        orders,
        net_revenue,
        count(*) over () as customers,
        row_number() over (order by recency_days) as recency_place,
        row_number() over (order by orders) as frequency_place,
        row_number() over (order by net_revenue) as monetary_place
    from customers
    where orders > 0
),

cutoffs as (
    select
        {% for fifth in range(1, 5) -%}
        {{ quantile_at_fifth('recency_days', 'recency_place', 'customers', fifth) }} as recency_{{ fifth }},
        {{ quantile_at_fifth('orders', 'frequency_place', 'customers', fifth) }} as frequency_{{ fifth }},
        {{ quantile_at_fifth('net_revenue', 'monetary_place', 'customers', fifth) }} as monetary_{{ fifth }}
        {{- "," if not loop.last }}
        {% endfor %}
    from placed
),

scores as (
    select
        customers.customer_id,
        5 - ({{ cutoffs_below('customers.recency_days', 'cutoffs.recency') }}) as r_score,
        1 + {{ cutoffs_below('customers.orders', 'cutoffs.frequency') }} as f_score,
        1 + {{ cutoffs_below('customers.net_revenue', 'cutoffs.monetary') }} as m_score
    from customers
    cross join cutoffs
    where customers.orders > 0
),

matches as (
    select
        scores.customer_id,
        segments.segment,
        row_number() over (partition by scores.customer_id order by segments.priority) as place
    from scores
    inner join {{ ref('rfm_segments') }} as segments
        on
            scores.r_score between segments.r_min and segments.r_max
            and scores.f_score between segments.f_min and segments.f_max
            and scores.m_score between segments.m_min and segments.m_max
),

usage as (
    select
        days.customer_id,
        sum(case when days.event_date > {{ plus_days('today.as_of', -30) }} then days.events else 0 end) as events,
        sum(case when days.event_date <= {{ plus_days('today.as_of', -30) }} then days.events else 0 end) as previous_events,
        max(days.event_date) as last_event_date,
        {% for feature in features -%}
        max(case when days.event_date > {{ plus_days('today.as_of', -30) }} and days.{{ feature }} > 0 then 1 else 0 end)
        {{- " +" if not loop.last else " as features_used" }}
        {% endfor %}
    from {{ ref('int_customer_days') }} as days
    cross join {{ ref('as_of') }} as today
    where
        days.event_date > (select {{ plus_days('as_of', -60) }} from {{ ref('as_of') }})
        and days.event_date <= (select as_of from {{ ref('as_of') }})
    group by days.customer_id
),

payments as (
    select
        customer_id,
        sum(attempts) as attempts,
        sum(failed_attempts) as failed_attempts
    from {{ ref('int_customer_payments') }}
    where
        paid_date > (select {{ plus_days('as_of', -90) }} from {{ ref('as_of') }})
        and paid_date <= (select as_of from {{ ref('as_of') }})
    group by customer_id
),

counted as (
    select
        customers.*,
        coalesce(usage.events, 0) as events,
        coalesce(usage.previous_events, 0) as previous_events,
        coalesce(usage.features_used, 0) as features_used,
        coalesce(payments.attempts, 0) as payment_attempts,
        coalesce(payments.failed_attempts, 0) as failed_payments,
        -- greatest() leaves NULLs out
        {{ days_from('greatest(usage.last_event_date, customers.last_order_date)', 'customers.as_of') }} as inactive_days
    from customers
    left join usage on customers.customer_id = usage.customer_id
    left join payments on customers.customer_id = payments.customer_id
),

points as (
    select
        *,
        case
            when previous_events > 0 then cast(25.0 * least(events, previous_events) / previous_events as numeric(5, 2))
            when events > 0 then 25
            else 0
        end as usage_points,
        cast(coalesce(25.0 * (60 - least(greatest(inactive_days, 0), 60)) / 60, 0) as numeric(5, 2)) as recency_points,
        cast(coalesce(25.0 * (payment_attempts - failed_payments) / nullif(payment_attempts, 0), 25) as numeric(5, 2))
            as payment_points,
        cast(25.0 * features_used / {{ features | length }} as numeric(5, 2)) as feature_points
    from counted
),

healths as (
    select
        *,
        usage_points + recency_points + payment_points + feature_points as health_score
    from points
)

select
    healths.customer_id,
    healths.as_of,
    healths.name,
    healths.segment,
    healths.country,
    {{ period_of('month', 'healths.first_order_date') }} as cohort_month,
    healths.first_order_at,
    healths.last_order_at,
    cast(healths.orders as integer) as orders,
    cast(healths.units as bigint) as units,
    cast(healths.net_sales as numeric(38, 4)) as net_sales,
    cast(healths.refunds as numeric(38, 4)) as refunds,
    cast(healths.net_revenue as numeric(38, 4)) as net_revenue,
    cast(healths.net_sales / nullif(healths.orders, 0) as numeric(38, 4)) as average_order_value,
    cast(healths.recency_days as integer) as recency_days,
    cast(case when healths.orders > 0 then healths.orders end as integer) as frequency,
    cast(case when healths.orders > 0 then healths.net_revenue end as numeric(38, 4)) as monetary,
    cast(scores.r_score as integer) as r_score,
    cast(scores.f_score as integer) as f_score,
    cast(scores.m_score as integer) as m_score,
    matches.segment as rfm_segment,
    cast(healths.events as bigint) as events_last_30_days,
    cast(healths.previous_events as bigint) as events_previous_30_days,
    cast(healths.features_used as integer) as features_used,
    cast(healths.payment_attempts as integer) as payment_attempts,
    cast(healths.failed_payments as integer) as failed_payments,
    cast(healths.usage_points as numeric(5, 2)) as usage_points,
    healths.recency_points,
    healths.payment_points,
    healths.feature_points,
    cast(healths.health_score as numeric(5, 2)) as health_score,
    case
        when healths.health_score >= {{ bands["healthy"] }} then 'healthy'
        when healths.health_score >= {{ bands["at_risk"] }} then 'at_risk'
        else 'critical'
    end as health_band
from healths
left join scores on healths.customer_id = scores.customer_id
left join matches on healths.customer_id = matches.customer_id and matches.place = 1
where {{ touched('healths.customer_id') }}
