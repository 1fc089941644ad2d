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

{% set sources = ['fact_sessions', 'int_recognised_sessions'] %}
{% set reach_hours, weights = attribution_reach_hours(), attribution_weights() %}

-- Visits of unknown customers match no conversion. They are not filtered here, so that each half of
-- the query uses its index.
with visits as (
    {% for source in sources -%}
    select
        session_id,
        customer_id,
        channel,
        campaign,
        started_at
    from {{ ref(source) }}
    {{ "union all" if not loop.last }}
    {% endfor %}
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
    where {{ exact.affected('conversions.converted_on', 'conversions.conversion_id') }}
),

-- The shares of a touch and of those before it. These running totals are rounded, and the share of
-- one touch is the difference of two of them, so that all shares of a conversion sum to it.
accrued as (
    select
        {%- for model, weight in weights.items() %}
        {%- set total = "sum(" ~ weight ~ ")" %}
        {%- set until, all = total ~ " over until_touch", total ~ " over whole" %}
        round(revenue * {{ until }} / {{ all }}, 4) as {{ model }}_revenue,
        round(cast({{ until }} as numeric(38, 0)) / {{ all }}, 8) as {{ model }}_conversions,
        {%- endfor %}
        *
    from touches
    window
        until_touch as (
            partition by conversion_id order by touched_at, session_id rows unbounded preceding
        ),
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
    {%- for model, touch in [("first_touch", "1"), ("last_touch", "greatest(touches, 1)")] %}
    cast(case when touch_index = {{ touch }} then revenue else 0 end as numeric(38, 4))
        as {{ model }}_revenue,
    cast(case when touch_index = {{ touch }} then 1 else 0 end as numeric(38, 8))
        as {{ model }}_conversions,
    {%- endfor %}
    {%- for model in weights %}
    {{ share_of_touch(model ~ "_revenue", 4) }} as {{ model }}_revenue,
    {{ share_of_touch(model ~ "_conversions", 8) }} as {{ model }}_conversions
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from accrued
window each_touch as (partition by conversion_id order by touched_at, session_id)

-- The keys that a change upstream affects. A visit reaches the next 30 days of its customer.
{{ exact.affected_by('int_conversions', ['converted_on', 'conversion_id']) }}
{% for source in sources %}
{% call exact.affected_when() %}
    select conversions.converted_on, conversions.conversion_id
    from {{ exact.changes(source) }}
    inner join {{ ref('int_conversions') }} as conversions
        on
            changes.customer_id = conversions.customer_id
            and conversions.converted_at >= changes.started_at
            and conversions.converted_at <= {{ plus_hours('changes.started_at', reach_hours) }}
{% endcall %}
{% endfor %}
