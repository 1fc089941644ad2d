{{
    config(
        rebuild_key=['customer_id', 'month_start'],
        change_log=['month_start'],
        indexes=[
            {'columns': ['customer_id', 'month_start'], 'unique': true},
            {'columns': ['month_start']},
        ],
    )
}}

{% set months = ref('int_month_ends') %}
{% set amounts = ref('int_mrr_amounts') %}

with lives as (
    select
        customer_id,
        min(month_start) as first_month,
        max(month_start) as last_month
    from {{ amounts }}
    where {{ exact.when_affected("customer_id in (select customer_id from affected)") }}
    group by customer_id
),

-- From the first month with an amount to the month after the last one.
spine as (
    select
        lives.customer_id,
        months.month_start,
        lives.first_month
    from lives
    inner join {{ months }} as months
        on
            lives.first_month <= months.month_start
            and months.month_start <= {{ plus_periods('month', 'lives.last_month', 1) }}
    where {{ exact.affected('lives.customer_id', 'months.month_start') }}
),

mrr_values as (
    select * from {{ ref('int_mrr_values') }}
    where {{ exact.affected('customer_id', 'month_start') }}
)

select
    spine.month_start,
    spine.customer_id,
    cast(coalesce(mrr_values.mrr, 0) as numeric(38, 4)) as mrr,
    cast(coalesce(mrr_values.previous_mrr, 0) as numeric(38, 4)) as previous_mrr,
    cast(coalesce(mrr_values.mrr - mrr_values.previous_mrr, 0) as numeric(38, 4)) as mrr_change,
    case
        when spine.month_start = spine.first_month then 'new'
        when mrr_values.pays and not mrr_values.paid_before then 'reactivation'
        when mrr_values.paid_before and not mrr_values.pays then 'churn'
        when mrr_values.mrr > mrr_values.previous_mrr_now then 'expansion'
        when mrr_values.mrr < mrr_values.previous_mrr_now then 'contraction'
        else 'none'
    end as movement,
    cast(
        coalesce(mrr_values.previous_mrr_now - mrr_values.previous_mrr, 0) as numeric(38, 4)
    ) as fx_change
from spine
left join mrr_values
    on spine.customer_id = mrr_values.customer_id and spine.month_start = mrr_values.month_start

-- The keys that a change upstream affects. A changed amount in a month affects all months after the
-- last one in which the customer paid before: which of them have a row, and the kind of the change.
{{ exact.affected_by('int_mrr_values', ['customer_id', 'month_start']) }}
{{ affected_by_lost_months() }}
{% call exact.affected_when() %}
    select changed.customer_id, months.month_start
    from (
        select
            changes.customer_id,
            changes.month_start,
            (
                select max(earlier.month_start)
                from {{ amounts }} as earlier
                where
                    changes.customer_id = earlier.customer_id
                    and earlier.month_start < changes.month_start
            ) as month_paid_before
        from {{ exact.changes('int_mrr_amounts') }}
    ) as changed
    inner join {{ months }} as months
        on
            months.month_start >= coalesce(
                {{ plus_periods('month', 'changed.month_paid_before', 1) }}, changed.month_start
            )
{% endcall %}
