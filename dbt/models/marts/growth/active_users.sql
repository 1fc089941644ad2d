{{
    config(
        rebuild_key=['date_day'],
        compares_to=['int_activity_spine'],
        indexes=[{'columns': ['date_day'], 'unique': true}],
    )
}}

with activity as (
    select
        user_id,
        event_date,
        lead(event_date) over (partition by user_id order by event_date) as next_date
    from {{ ref('int_user_days') }}
    where {{ exact.when_affected(
        "event_date >= " ~ plus_days("(select min(date_day) from affected)", -29)
        ~ " and event_date <= (select max(date_day) from affected)"
    ) }}
),

-- A user who is active on a day joins the rolling windows of 7 and 30 days on that day, and leaves
-- them 7 and 30 days later, unless active again before then. So a rolling count is a running sum of
-- joins minus leaves.
moves as (
    select
        event_date as date_day,
        1 as dau,
        1 as wau,
        1 as mau
    from activity
    {% for days, wau, mau in [(7, -1, 0), (30, 0, -1)] -%}
    union all
    select
        least(next_date, {{ plus_days('event_date', days) }}) as date_day,
        0 as dau,
        {{ wau }} as wau,
        {{ mau }} as mau
    from activity
    {% endfor %}
),

daily_moves as (
    select
        date_day,
        sum(dau) as dau,
        sum(wau) as wau,
        sum(mau) as mau
    from moves
    group by date_day
),

counted as (
    select
        spine.period_start as date_day,
        coalesce(daily_moves.dau, 0) as dau,
        sum(coalesce(daily_moves.wau, 0)) over (order by spine.period_start) as wau,
        sum(coalesce(daily_moves.mau, 0)) over (order by spine.period_start) as mau
    from {{ ref('int_activity_spine') }} as spine
    left join daily_moves on spine.period_start = daily_moves.date_day
    where spine.grain = 'day'
)

select
    date_day,
    cast(dau as integer) as dau,
    cast(wau as integer) as wau,
    cast(mau as integer) as mau,
    {{ ratio('dau', 'mau') }} as stickiness
from counted
where {{ exact.affected('date_day') }}

-- The keys that a change upstream affects. A day of activity affects the 29 days after it.
{% set days = "(select period_start as date_day from " ~ ref('int_activity_spine')
    ~ " where grain = 'day')" %}
{{ affected_by_comparison(days, ['date_day']) }}
{% call exact.affected_when() %}
    select days.date_day
    from {{ days }} as days
    inner join (
        select distinct changes.event_date from {{ exact.changes('int_user_days') }}
    ) as changes
        on
            days.date_day >= changes.event_date
            and days.date_day <= {{ plus_days('changes.event_date', 29) }}
{% endcall %}
