{{
    config(
        unit=['event_date', 'user_id'],
        feed=['user_id', 'event_type', 'event_date', 'event_timestamp'],
        indexes=[{'columns': ['user_id', 'event_timestamp']}, {'columns': ['user_id', 'event_date']}],
    )
}}

{{ touched_by('fact_events', ['event_date', 'user_id']) }}
{{ touched_by('int_user_milestones', ['event_date', 'user_id']) }}

{% set sources = ['fact_events', 'int_user_milestones'] %}

{% for source in sources -%}
select
    event_id,
    user_id,
    event_type,
    device,
    country,
    event_date,
    event_timestamp
from {{ ref(source) }}
where
    {{ touched('event_date', 'user_id') }}
    -- In a strict funnel every other event is one that comes between.
    and (
        event_type in (select steps.event_type from {{ ref('int_funnel_steps') }} as steps)
        or exists (
            select 1 from {{ ref('int_funnel_steps') }} as steps
            where steps.mode = 'strict'
        )
    )
{{ "union all" if not loop.last }}
{% endfor %}
