{{
    config(
        rebuild_key=['converted_on', 'conversion_id'],
        partition_by='converted_on',
        index_lookup={
            'int_conversions': ['conversion_id'],
            'fact_sessions': ['customer_id', 'started_at'],
            'int_recognised_sessions': ['customer_id', 'started_at'],
        },
        indexes=[{'columns': ['converted_on', 'conversion_id', 'touch_index'], 'unique': true}],
    )
}}

{#- 30 days, in hours: a day has another length where clocks are changed. -#}
{% set reach_hours = 30 * 24 %}
{% set half_life_seconds = 7 * 24 * 3600 %}

{#- What each model weighs a touch with; the one row of a conversion without any has all. -#}
{#- 40, 20 and 40 percent: of n touches, the first and the last weigh 2 (n - 2), each of the others 1. -#}
{% set position_based =
    "cast(case when touches > 2 and touch_index in (1, touches) then 2 * (touches - 2) else 1 end as integer)" %}
{#- Half of it for each week; in whole numbers, which add up to the same in whatever order. -#}
{% set time_decay = "case when touches = 0 then 1 else "
    ~ weight_after(seconds_between("touched_at", "converted_at"), half_life_seconds) ~ " end" %}
{% set weights = {"linear": "1", "position_based": position_based, "time_decay": time_decay} %}

{{ affected_by('int_conversions', ['converted_on', 'conversion_id']) }}

-- A visit reaches the conversions of its customer in the 30 days from its beginning.
{% for visits in ['fact_sessions', 'int_recognised_sessions'] %}
{% call affected_when() %}
    select conversions.converted_on, conversions.conversion_id
    from {{ changes(visits) }}
    inner join {{ ref('int_conversions') }} as conversions
        on
            changes.customer_id = conversions.customer_id
            and conversions.converted_at >= changes.started_at
            and conversions.converted_at <= {{ plus_hours('changes.started_at', reach_hours) }}
{% endcall %}
{% endfor %}

-- Visits of nobody join no conversion. They are not left out here, for each half to be looked up by its index.
with visits as (
    select
        session_id,
        customer_id,
        channel,
        campaign,
        started_at
    from {{ ref('fact_sessions') }}
    union all
    select
        session_id,
        customer_id,
        channel,
        campaign,
        started_at
    from {{ ref('int_recognised_sessions') }}
),

touches as (
    select
        conversions.conversion_id,
        conversions.conversion_type,
        conversions.converted_at,
        conversions.converted_on,
        conversions.customer_id,
        conversions.revenue,
        visits.session_id,
        visits.started_at as touched_at,
        coalesce(visits.channel, 'unattributed') as channel,
        visits.campaign,
        row_number() over (
            partition by conversions.conversion_id order by visits.started_at, visits.session_id
        ) as touch_index,
        count(visits.session_id) over (partition by conversions.conversion_id) as touches
    from {{ ref('int_conversions') }} as conversions
    left join visits
        on
            conversions.customer_id = visits.customer_id
            and {{ plus_hours('conversions.converted_at', -reach_hours) }} <= visits.started_at
            and conversions.converted_at >= visits.started_at
    where {{ affected('conversions.converted_on', 'conversions.conversion_id') }}
),

-- What falls to a touch and those before it. These running totals are rounded, and what falls to one touch is a
-- difference of two of them: so all touches of a conversion always sum to it.
accrued as (
    select
        {%- for model, weight in weights.items() %}
        round(revenue * sum({{ weight }}) over until_touch / sum({{ weight }}) over whole, 4) as {{ model }}_revenue,
        round(
            cast(sum({{ weight }}) over until_touch as numeric(38, 0)) / sum({{ weight }}) over whole, 8
        ) as {{ model }}_conversions,
        {%- endfor %}
        *
    from touches
    window
        until_touch as (partition by conversion_id order by touched_at, session_id rows unbounded preceding),
        whole as (partition by conversion_id)
)

select
    conversion_id,
    conversion_type,
    converted_at,
    converted_on,
    customer_id,
    session_id,
    touched_at,
    channel,
    campaign,
    cast(least(touch_index, touches) as integer) as touch_index,
    cast(touches as integer) as touches,
    cast(revenue as numeric(38, 4)) as revenue,
    cast(case when touch_index = 1 then revenue else 0 end as numeric(38, 4)) as first_touch_revenue,
    cast(case when touch_index = 1 then 1 else 0 end as numeric(38, 8)) as first_touch_conversions,
    cast(case when touch_index = greatest(touches, 1) then revenue else 0 end as numeric(38, 4)) as last_touch_revenue,
    cast(case when touch_index = greatest(touches, 1) then 1 else 0 end as numeric(38, 8)) as last_touch_conversions,
    {%- for model in weights %}{% set is_last = loop.last %}
    {%- for part, decimals in [("revenue", 4), ("conversions", 8)] %}
    cast(
        {{ model }}_{{ part }} - coalesce(lag({{ model }}_{{ part }}) over each_touch, 0) as numeric(38, {{ decimals }})
    ) as {{ model }}_{{ part }}
    {%- if not (loop.last and is_last) %},{% endif %}
    {%- endfor %}{% endfor %}
from accrued
window each_touch as (partition by conversion_id order by touched_at, session_id)
