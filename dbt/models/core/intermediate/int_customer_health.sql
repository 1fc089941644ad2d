{{ config(rebuild_key=['customer_id'], indexes=[{'columns': ['customer_id'], 'unique': true}]) }}

with customers as (
    select customer_id from {{ ref('dim_customers') }}
    where is_current and customer_id <> ''
    union
    select customer_id from {{ ref('int_customer_orders') }}
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

-- greatest() skips NULLs.
counted as (
    select
        customers.customer_id,
        today.as_of,
        coalesce(uses.events, 0) as events,
        coalesce(uses.events_before, 0) as events_before,
        coalesce(uses.features_used, 0) as features_used,
        coalesce(payments.attempts, 0) as attempts,
        coalesce(payments.failed_attempts, 0) as failed_attempts,
        {{ days_from('greatest(uses.last_event_date, sales.last_order_date)', 'today.as_of') }}
            as inactive_days
    from customers
    cross join {{ ref('as_of') }} as today
    left join {{ ref('int_customer_usage') }} as uses on customers.customer_id = uses.customer_id
    left join payments on customers.customer_id = payments.customer_id
    left join {{ ref('int_customer_orders') }} as sales
        on customers.customer_id = sales.customer_id
),

-- The score: 25 points for each of four signs of health.
points as (
    select
        *,
        cast(case
            when events_before > 0 then 25.0 * least(events, events_before) / events_before
            when events > 0 then 25
            else 0
        end as numeric(5, 2)) as usage_points,
        cast(
            coalesce(25.0 * (60 - least(greatest(inactive_days, 0), 60)) / 60, 0) as numeric(5, 2)
        ) as recency_points,
        cast(
            coalesce(25.0 * (attempts - failed_attempts) / nullif(attempts, 0), 25)
            as numeric(5, 2)
        ) as payment_points,
        cast(25.0 * features_used / {{ var("features") | length }} as numeric(5, 2))
            as feature_points
    from counted
)

select
    customer_id,
    as_of,
    cast(events as bigint) as events_last_30_days,
    cast(events_before as bigint) as events_previous_30_days,
    cast(features_used as integer) as features_used,
    cast(attempts as integer) as payment_attempts,
    cast(failed_attempts as integer) as failed_payments,
    usage_points,
    recency_points,
    payment_points,
    feature_points,
    cast(
        usage_points + recency_points + payment_points + feature_points as numeric(5, 2)
    ) as health_score
from points
where {{ exact.affected('customer_id') }}

-- The keys that a change upstream affects: all customers, because "today" moves their windows. They
-- are computed from the customers' days of the last three months, never from events or payments.
{% call exact.affected_when() %}
    select everybody.customer_id
    from (
        select customer_id from {{ ref('dim_customers') }}
        union
        select customer_id from {{ ref('int_customer_orders') }}
        union
        select customer_id from {{ this }}
    ) as everybody
    where
        {{ today_has_moved() }}
        or exists (select 1 from {{ exact.changes('dim_customers') }})
        or exists (select 1 from {{ exact.changes('int_customer_orders') }})
        or exists (select 1 from {{ exact.changes('int_customer_days') }})
        or exists (select 1 from {{ exact.changes('int_customer_payments') }})
{% endcall %}
