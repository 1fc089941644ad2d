{{
    config(
        rebuild_key=['customer_id'],
        indexes=[{'columns': ['customer_id'], 'unique': true}],
    )
}}

with paid_periods as (
    select
        *,
        row_number() over (
            partition by customer_id order by paid_from, subscription_id
        ) as paid_period_number
    from {{ ref('fact_subscription_periods') }}
    where
        paid_from <= {{ last_day() }}
        and monthly_amount > 0
        and {{ exact.affected('customer_id') }}
)

select
    periods.customer_id,
    {{ paid_at('periods') }} as paid_at,
    periods.paid_from,
    -- A payment without a rate has no value yet.
    cast(
        coalesce({{ in_reporting_currency('periods.monthly_amount', 'rates.rate') }}, 0)
        as numeric(38, 4)
    ) as monthly_revenue
from paid_periods as periods
left join {{ ref('int_exchange_rates') }} as rates
    on periods.currency = rates.currency and {{ valid_at('rates', 'periods.paid_from') }}
where periods.paid_period_number = 1

-- The keys that a change upstream affects. When "today" moves, a payment that was expected for a
-- day has been made now, or no longer has.
{{ exact.affected_by('fact_subscription_periods', ['customer_id']) }}
{% call exact.affected_when() %}
    select periods.customer_id
    from {{ exact.changes('int_exchange_rates') }}
    inner join {{ ref('fact_subscription_periods') }} as periods
        on changes.currency = periods.currency and {{ valid_at('changes', 'periods.paid_from') }}
{% endcall %}
{% call exact.affected_when() %}
    select periods.customer_id
    from {{ exact.changes('dim_date') }}
    inner join {{ ref('fact_subscription_periods') }} as periods
        on changes.date_day = periods.paid_from
{% endcall %}
