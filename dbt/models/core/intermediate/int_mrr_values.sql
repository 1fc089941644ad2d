{{
    config(
        rebuild_key=['customer_id', 'month_start'],
        indexes=[
            {'columns': ['customer_id', 'month_start'], 'unique': true},
            {'columns': ['month_start']},
        ],
    )
}}

{% set months = ref('int_month_ends') %}
{% set balances = ref('int_mrr_balances') %}

-- An amount without a rate has no value yet.
with valued as (
    select
        balances.customer_id,
        balances.month_start,
        balances.amount,
        balances.previous_amount,
        coalesce({{ in_reporting_currency('balances.amount', 'rates.rate') }}, 0) as mrr,
        coalesce({{ in_reporting_currency('balances.previous_amount', 'old_rates.rate') }}, 0)
            as previous_mrr,
        coalesce({{ in_reporting_currency('balances.previous_amount', 'rates.rate') }}, 0)
            as previous_mrr_now
    from {{ balances }} as balances
    inner join {{ months }} as months on balances.month_start = months.month_start
    left join {{ months }} as old_months
        on {{ plus_periods('month', 'balances.month_start', -1) }} = old_months.month_start
    left join {{ ref('int_exchange_rates') }} as rates
        on balances.currency = rates.currency and {{ valid_at('rates', 'months.valued_on') }}
    left join {{ ref('int_exchange_rates') }} as old_rates
        on
            balances.currency = old_rates.currency
            and {{ valid_at('old_rates', 'old_months.valued_on') }}
    where {{ exact.affected('balances.customer_id', 'balances.month_start') }}
)

select
    customer_id,
    month_start,
    sum(amount) > 0 as pays,
    sum(previous_amount) > 0 as paid_before,
    cast(sum(mrr) as numeric(38, 4)) as mrr,
    cast(sum(previous_mrr) as numeric(38, 4)) as previous_mrr,
    cast(sum(previous_mrr_now) as numeric(38, 4)) as previous_mrr_now
from valued
group by customer_id, month_start

-- The keys that a change upstream affects. The day on which a month is valued, and the rate of that
-- day, affect the month and the previous amounts of the next one.
{{ exact.affected_by('int_mrr_balances', ['customer_id', 'month_start']) }}
{% for later in [0, 1] %}
{% call exact.affected_when() %}
    select balances.customer_id, balances.month_start
    from {{ exact.changes('int_exchange_rates') }}
    inner join {{ months }} as months on {{ valid_at('changes', 'months.valued_on') }}
    inner join {{ balances }} as balances
        on
            {{ plus_periods('month', 'months.month_start', later) }} = balances.month_start
            and changes.currency = balances.currency
{% endcall %}
{% call exact.affected_when() %}
    select balances.customer_id, balances.month_start
    from (select distinct changes.month_start from {{ exact.changes('int_month_ends') }}) as months
    inner join {{ balances }} as balances
        on {{ plus_periods('month', 'months.month_start', later) }} = balances.month_start
    where balances.currency <> '{{ var("reporting_currency") }}'
{% endcall %}
{% endfor %}
-- For a new month: every customer with a balance in it.
{% call exact.affected_when() %}
    select balances.customer_id, balances.month_start
    from {{ balances }} as balances
    where
        balances.month_start in (
            select changes.month_start from {{ exact.changes('int_month_ends') }}
        )
        and not exists (
            select 1 from {{ this }} as held where balances.month_start = held.month_start
        )
{% endcall %}
{{ affected_by_lost_months() }}
