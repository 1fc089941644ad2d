{{
    config(
        rebuild_key=['customer_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': []},
        indexes=[{'columns': ['customer_id', 'valid_from'], 'unique': true}],
    )
}}

-- The days of a period are days in the reporting time zone.
with periods as (
    select
        subscription_id,
        customer_id,
        coalesce(plan_id, 'unknown') as plan_id,
        {{ start_of_day('period_start') }} as valid_from,
        {{ start_of_day('period_end') }} as valid_to
    from {{ ref('fact_subscription_periods') }}
    where {{ exact.affected('customer_id') }}
),

-- Periods may overlap. Between two neighbouring bounds nothing changes.
bounds as (
    select
        customer_id,
        valid_from as bound
    from periods
    union distinct
    select
        customer_id,
        valid_to as bound
    from periods
    where valid_to is not null
),

spans as (
    select
        customer_id,
        bound as valid_from,
        lead(bound) over (partition by customer_id order by bound) as valid_to
    from bounds
),

-- Of several plans at the same time, the one whose period began last counts.
ranked as (
    select
        spans.customer_id,
        spans.valid_from,
        spans.valid_to,
        periods.plan_id,
        row_number() over (
            partition by spans.customer_id, spans.valid_from
            order by periods.valid_from desc, periods.subscription_id desc
        ) as position
    from spans
    inner join periods
        on spans.customer_id = periods.customer_id and {{ valid_at('periods', 'spans.valid_from') }}
)

select
    customer_id,
    plan_id,
    valid_from,
    valid_to
from ranked
where position = 1

-- The keys that a change upstream affects.
{{ exact.affected_by('fact_subscription_periods', ['customer_id']) }}
