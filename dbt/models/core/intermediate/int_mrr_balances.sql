{{
    config(
        rebuild_key=['customer_id', 'month_start'],
        indexes=[
            {'columns': ['customer_id', 'month_start', 'currency'], 'unique': true},
            {'columns': ['month_start']},
        ],
    )
}}

-- The amounts of each month, as its own and as the previous amounts of the next month.
with balances as (
    select
        customer_id,
        month_start,
        currency,
        amount,
        0 as previous_amount
    from {{ ref('int_mrr_amounts') }}
    where {{ exact.affected('customer_id', 'month_start') }}
    union all
    select
        customer_id,
        {{ plus_periods('month', 'month_start', 1) }} as month_start,
        currency,
        0 as amount,
        amount as previous_amount
    from {{ ref('int_mrr_amounts') }}
    where
        {{ exact.when_affected(
            "(customer_id, month_start) in (select customer_id, "
            ~ plus_periods("month", "month_start", -1) ~ " from affected)"
        ) }}
)

select
    customer_id,
    month_start,
    currency,
    cast(sum(amount) as numeric(38, 4)) as amount,
    cast(sum(previous_amount) as numeric(38, 4)) as previous_amount
from balances
group by customer_id, month_start, currency

-- The keys that a change upstream affects.
{{ exact.affected_by('int_mrr_amounts', ['customer_id', 'month_start']) }}
{% call exact.affected_when() %}
    select changes.customer_id, {{ plus_periods('month', 'changes.month_start', 1) }}
    from {{ exact.changes('int_mrr_amounts') }}
{% endcall %}
