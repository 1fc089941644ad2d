{{ config(rebuild_key=['customer_id'], indexes=[{'columns': ['customer_id'], 'unique': true}]) }}

-- A wrong clock can date an order a day after "today".
with customers as (
    select
        today.as_of,
        sales.customer_id,
        sales.orders,
        sales.net_revenue,
        greatest({{ days_from('sales.last_order_date', 'today.as_of') }}, 0) as recency_days
    from {{ ref('int_customer_orders') }} as sales
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
),

cutoffs as (
    select
        {% for fifth in range(1, 5) -%}
        {{ quantile_at_fifth('recency_days', 'recency_place', 'customers', fifth) }}
            as recency_{{ fifth }},
        {{ quantile_at_fifth('orders', 'frequency_place', 'customers', fifth) }}
            as frequency_{{ fifth }},
        {{ quantile_at_fifth('net_revenue', 'monetary_place', 'customers', fifth) }}
            as monetary_{{ fifth }},
        {% endfor -%}
        count(*) as customers
    from placed
),

scores as (
    select
        customers.customer_id,
        customers.as_of,
        customers.recency_days,
        5 - ({{ cutoffs_below('customers.recency_days', 'cutoffs.recency') }}) as r_score,
        1 + {{ cutoffs_below('customers.orders', 'cutoffs.frequency') }} as f_score,
        1 + {{ cutoffs_below('customers.net_revenue', 'cutoffs.monetary') }} as m_score
    from customers
    cross join cutoffs
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
)

select
    scores.customer_id,
    scores.as_of,
    cast(scores.recency_days as integer) as recency_days,
    cast(scores.r_score as integer) as r_score,
    cast(scores.f_score as integer) as f_score,
    cast(scores.m_score as integer) as m_score,
    matches.segment as rfm_segment
from scores
left join matches on scores.customer_id = matches.customer_id and matches.place = 1
where {{ exact.affected('scores.customer_id') }}

-- The keys that a change upstream affects: all customers, because scores compare all of them and
-- recency changes every day. They are rebuilt from one row for each customer, never from orders.
{% call exact.affected_when() %}
    select everybody.customer_id
    from (
        select customer_id from {{ ref('int_customer_orders') }}
        union
        select customer_id from {{ this }}
    ) as everybody
    where
        {{ today_has_moved() }}
        or exists (select 1 from {{ exact.changes('int_customer_orders') }})
{% endcall %}
