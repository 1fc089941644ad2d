{{
    config(
        rebuild_key=['customer_id', 'month_start'],
        indexes=[
            {'columns': ['customer_id', 'month_start', 'currency'], 'unique': true},
            {'columns': ['month_start']},
        ],
    )
}}

{% set months = ref('int_month_ends') %}
{% set periods = ref('fact_subscription_periods') %}

select
    periods.customer_id,
    months.month_start,
    periods.currency,
    cast(sum(periods.monthly_amount) as numeric(38, 4)) as amount
from {{ periods }} as periods
inner join {{ months }} as months
    on
        periods.paid_from <= months.valued_on
        and (periods.period_end > months.valued_on or periods.period_end is null)
where
    periods.monthly_amount > 0
    and {{ exact.affected('periods.customer_id', 'months.month_start') }}
    and {{ exact.when_affected("periods.customer_id in (select customer_id from affected)") }}
group by periods.customer_id, months.month_start, periods.currency

-- The keys that a change upstream affects. A period counts at most in the months that it overlaps.
-- The days on which these are valued may have moved since.
{% call exact.affected_when() %}
    select changes.customer_id, months.month_start
    from {{ exact.changes('fact_subscription_periods') }}
    inner join {{ months }} as months
        on
            changes.paid_from < {{ plus_periods('month', 'months.month_start', 1) }}
            and (changes.period_end > months.month_start or changes.period_end is null)
{% endcall %}
-- For a new month: every customer who pays on the day on which it is valued.
{% call exact.affected_when() %}
    select periods.customer_id, months.month_start
    from {{ months }} as months
    inner join {{ periods }} as periods
        on
            months.valued_on >= periods.paid_from
            and (months.valued_on < periods.period_end or periods.period_end is null)
    where
        months.month_start in (
            select changes.month_start from {{ exact.changes('int_month_ends') }}
        )
        and not exists (
            select 1 from {{ this }} as held where held.month_start = months.month_start
        )
{% endcall %}
-- For a month that is valued on another day, because "today" has moved: every customer who started
-- or stopped paying between the two days.
{% call exact.affected_when() %}
    select periods.customer_id, moved.month_start
    from (
        select
            changes.month_start,
            min(changes.valued_on) as first_day,
            max(changes.valued_on) as last_day
        from {{ exact.changes('int_month_ends') }}
        group by changes.month_start
    ) as moved
    inner join {{ periods }} as periods
        on
            (periods.paid_from > moved.first_day and periods.paid_from <= moved.last_day)
            or (periods.period_end > moved.first_day and periods.period_end <= moved.last_day)
{% endcall %}
{{ affected_by_lost_months() }}
