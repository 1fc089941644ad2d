{{ config(rebuild_key=['date_day'], compares_to=['int_activity_spine'], indexes=[{'columns': ['date_day'], 'unique': true}]) }}

-- A day of activity reaches the 29 days after it.
{% call affected_when() %}
    select spine.period_start
    from {{ ref('int_activity_spine') }} as spine
    inner join (select distinct changes.event_date from {{ changes('int_user_days') }}) as changes
        on spine.period_start >= changes.event_date and spine.period_start <= {{ plus_days('changes.event_date', 29) }}
    where spine.grain = 'day'
{% endcall %}

-- Days that the spine gained or lost.
{% call affected_when() %}
    select coalesce(spine.period_start, held.date_day)
    from (select period_start from {{ ref('int_activity_spine') }} where grain = 'day') as spine
    full join {{ this }} as held on spine.period_start = held.date_day
    where spine.period_start is null or held.date_day is null
{% endcall %}

with activity as (
    select
        user_id,
        event_date,
        lead(event_date) over (partition by user_id order by event_date) as next_date
    from {{ ref('int_user_days') }}
    where {{ when_affected(
        "event_date >= " ~ plus_days("(select min(date_day) from affected)", -29)
        ~ " and event_date <= (select max(date_day) from affected)"
    ) }}
),

-- Who is active on a day joins the windows of 7 and 30 days that end on it, and leaves them 7 and 30 days later, unless
-- active again before: then the later activity carries on. So a rolling count is a running sum of joins less leaves.
moves as (
    select
        event_date as date_day,
        1 as dau,
        1 as wau,
        1 as mau
    from activity
    union all
    select
        least(next_date, {{ plus_days('event_date', 7) }}) as date_day,
        0 as dau,
        -1 as wau,
        0 as mau
    from activity
    union all
    select
        least(next_date, {{ plus_days('event_date', 30) }}) as date_day,
        0 as dau,
        0 as wau,
        -1 as mau
    from activity
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
    cast(cast(dau as numeric(18, 4)) / nullif(mau, 0) as numeric(18, 4)) as stickiness
from counted
where {{ affected('date_day') }}
