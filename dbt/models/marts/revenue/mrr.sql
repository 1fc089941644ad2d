{{
    config(
        unit=['customer_id', 'month_start'],
        feed=['month_start'],
        indexes=[
            {'columns': ['customer_id', 'month_start'], 'unique': true},
            {'columns': ['month_start']},
        ],
    )
}}

{% set months = ref('int_month_ends') %}
{% set amounts = ref('int_mrr_amounts') %}

-- Another amount in a month decides about the months from the one in which the customer paid before it: which of them have a row,
-- and what the change is called.
{% call touched_when() %}
    select changed.customer_id, months.month_start
    from (
        select
            changes.customer_id,
            changes.month_start,
            (
                select max(earlier.month_start) from {{ amounts }} as earlier
                where changes.customer_id = earlier.customer_id and earlier.month_start < changes.month_start
            ) as month_paid_before
        from {{ changes('int_mrr_amounts') }}
    ) as changed
    inner join {{ months }} as months
        on months.month_start >= coalesce({{ plus_periods('month', 'changed.month_paid_before', 1) }}, changed.month_start)
{% endcall %}

-- Another rate, or another day on which the month is valued, counts in the month and as what was there before in the next.
{% for later in [0, 1] %}
{% call touched_when() %}
    select amounts.customer_id, {{ plus_periods('month', 'amounts.month_start', later) }}
    from {{ changes('int_exchange_rates') }}
    inner join {{ months }} as months on {{ valid_at('changes', 'months.valued_on') }}
    inner join {{ amounts }} as amounts on months.month_start = amounts.month_start and changes.currency = amounts.currency
    union
    select amounts.customer_id, {{ plus_periods('month', 'amounts.month_start', later) }}
    from {{ changes('int_month_ends') }}
    inner join {{ amounts }} as amounts on changes.month_start = amounts.month_start
    where amounts.currency <> '{{ var("reporting_currency") }}'
{% endcall %}
{% endfor %}

-- A month that is new: whoever paid in the one before. One that is gone: whoever has a row.
{% call touched_when() %}
    select amounts.customer_id, months.month_start
    from {{ months }} as months
    inner join {{ amounts }} as amounts on months.month_start = {{ plus_periods('month', 'amounts.month_start', 1) }}
    where
        months.month_start in (select changes.month_start from {{ changes('int_month_ends') }})
        and not exists (select 1 from {{ this }} as held where held.month_start = months.month_start)
    union
    select held.customer_id, held.month_start
    from {{ changes('int_month_ends') }}
    inner join {{ this }} as held on changes.month_start = held.month_start
    where changes.month_start not in (select months.month_start from {{ months }} as months)
{% endcall %}

with lives as (
    select
        customer_id,
        min(month_start) as first_month,
        max(month_start) as last_month
    from {{ amounts }}
    where {{ when_touched("customer_id in (select customer_id from touched)") }}
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
    where {{ touched('lives.customer_id', 'months.month_start') }}
),

-- Each month's amounts as its own, and as those of the month before.
balances as (
    select customer_id, month_start, currency, amount, 0 as previous_amount
    from {{ amounts }}
    where {{ touched('customer_id', 'month_start') }}
    union all
    select customer_id, {{ plus_periods('month', 'month_start', 1) }} as month_start, currency, 0 as amount, amount as previous_amount
    from {{ amounts }}
    where
        {{ when_touched(
            "(customer_id, month_start) in (select customer_id, "
            ~ plus_periods("month", "month_start", -1) ~ " from touched)"
        ) }}
),

by_currency as (
    select
        customer_id,
        month_start,
        currency,
        sum(amount) as amount,
        sum(previous_amount) as previous_amount
    from balances
    group by customer_id, month_start, currency
),

valued as (
    select
        by_currency.customer_id,
        by_currency.month_start,
        sum(by_currency.amount) > 0 as pays,
        sum(by_currency.previous_amount) > 0 as paid_before,
        -- What has no rate has no value yet.
        sum(coalesce({{ in_reporting_currency('by_currency.amount', 'rates.rate') }}, 0)) as mrr,
        sum(coalesce({{ in_reporting_currency('by_currency.previous_amount', 'old_rates.rate') }}, 0)) as previous_mrr,
        sum(coalesce({{ in_reporting_currency('by_currency.previous_amount', 'rates.rate') }}, 0)) as previous_mrr_now
    from by_currency
    inner join {{ months }} as months on by_currency.month_start = months.month_start
    left join {{ months }} as old_months
        on by_currency.month_start = {{ plus_periods('month', 'old_months.month_start', 1) }}
    left join {{ ref('int_exchange_rates') }} as rates
        on by_currency.currency = rates.currency and {{ valid_at('rates', 'months.valued_on') }}
    left join {{ ref('int_exchange_rates') }} as old_rates
        on by_currency.currency = old_rates.currency and {{ valid_at('old_rates', 'old_months.valued_on') }}
    group by by_currency.customer_id, by_currency.month_start
)

select
    spine.month_start,
    spine.customer_id,
    cast(coalesce(valued.mrr, 0) as numeric(38, 4)) as mrr,
    cast(coalesce(valued.previous_mrr, 0) as numeric(38, 4)) as previous_mrr,
    cast(coalesce(valued.mrr - valued.previous_mrr, 0) as numeric(38, 4)) as mrr_change,
    case
        when spine.month_start = spine.first_month then 'new'
        when valued.pays and not valued.paid_before then 'reactivation'
        when valued.paid_before and not valued.pays then 'churn'
        when valued.mrr > valued.previous_mrr_now then 'expansion'
        when valued.mrr < valued.previous_mrr_now then 'contraction'
        else 'none'
    end as movement,
    cast(coalesce(valued.previous_mrr_now - valued.previous_mrr, 0) as numeric(38, 4)) as fx_change
from spine
left join valued on spine.customer_id = valued.customer_id and spine.month_start = valued.month_start
