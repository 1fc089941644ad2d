{{
    config(
        rebuild_key=['customer_id', 'month_start'],
        indexes=[{'columns': ['customer_id', 'month_start'], 'unique': true}, {'columns': ['month_start']}],
    )
}}

{% set months = ref('int_month_ends') %}
{% set amounts = ref('int_mrr_amounts') %}

-- An amount counts in its month and, as what was there before, in the next.
{% for later in [0, 1] %}
{% call affected_when() %}
    select changes.customer_id, {{ plus_periods('month', 'changes.month_start', later) }}
    from {{ changes('int_mrr_amounts') }}
{% endcall %}
{% endfor %}

-- The day on which a month is valued, and the rate of that day: the amounts of which month have by it another value,
-- and in which month. Those of the month before are compared with the month's own by its rate, also if none is left.
{% for amounts_of, counted_in in [(0, 0), (0, 1), (-1, 0)] %}
{% call affected_when() %}
    select amounts.customer_id, {{ plus_periods('month', 'months.month_start', counted_in) }}
    from {{ changes('int_exchange_rates') }}
    inner join {{ months }} as months on {{ valid_at('changes', 'months.valued_on') }}
    inner join {{ amounts }} as amounts
        on
            {{ plus_periods('month', 'months.month_start', amounts_of) }} = amounts.month_start
            and changes.currency = amounts.currency
{% endcall %}
{% call affected_when() %}
    select amounts.customer_id, {{ plus_periods('month', 'months.month_start', counted_in) }}
    from (select distinct changes.month_start from {{ changes('int_month_ends') }}) as months
    inner join {{ amounts }} as amounts
        on {{ plus_periods('month', 'months.month_start', amounts_of) }} = amounts.month_start
    where amounts.currency <> '{{ var("reporting_currency") }}'
{% endcall %}
{% endfor %}

-- A month that is new: whoever paid in the one before. One that is gone: whoever has a row.
{% call affected_when() %}
    select amounts.customer_id, months.month_start
    from {{ months }} as months
    inner join {{ amounts }} as amounts on {{ plus_periods('month', 'months.month_start', -1) }} = amounts.month_start
    where
        months.month_start in (select changes.month_start from {{ changes('int_month_ends') }})
        and not exists (select 1 from {{ this }} as held where held.month_start = months.month_start)
    union
    select held.customer_id, held.month_start
    from {{ changes('int_month_ends') }}
    inner join {{ this }} as held on changes.month_start = held.month_start
    where changes.month_start not in (select months.month_start from {{ months }} as months)
{% endcall %}

-- Each month's amounts as its own, and as those before the next month.
with balances as (
    select
        customer_id,
        month_start,
        currency,
        amount,
        0 as previous_amount
    from {{ amounts }}
    where {{ affected('customer_id', 'month_start') }}
    union all
    select
        customer_id,
        {{ plus_periods('month', 'month_start', 1) }} as month_start,
        currency,
        0 as amount,
        amount as previous_amount
    from {{ amounts }}
    where
        {{ when_affected(
            "(customer_id, month_start) in (select customer_id, "
            ~ plus_periods("month", "month_start", -1) ~ " from affected)"
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
)

select
    by_currency.customer_id,
    by_currency.month_start,
    sum(by_currency.amount) > 0 as pays,
    sum(by_currency.previous_amount) > 0 as paid_before,
    -- What has no rate has no value yet.
    cast(
        sum(coalesce({{ in_reporting_currency('by_currency.amount', 'rates.rate') }}, 0)) as numeric(38, 4)
    ) as mrr,
    cast(
        sum(coalesce({{ in_reporting_currency('by_currency.previous_amount', 'old_rates.rate') }}, 0)) as numeric(38, 4)
    ) as previous_mrr,
    cast(
        sum(coalesce({{ in_reporting_currency('by_currency.previous_amount', 'rates.rate') }}, 0)) as numeric(38, 4)
    ) as previous_mrr_now
from by_currency
inner join {{ months }} as months on by_currency.month_start = months.month_start
left join {{ months }} as old_months
    on {{ plus_periods('month', 'by_currency.month_start', -1) }} = old_months.month_start
left join {{ ref('int_exchange_rates') }} as rates
    on by_currency.currency = rates.currency and {{ valid_at('rates', 'months.valued_on') }}
left join {{ ref('int_exchange_rates') }} as old_rates
    on by_currency.currency = old_rates.currency and {{ valid_at('old_rates', 'old_months.valued_on') }}
group by by_currency.customer_id, by_currency.month_start
