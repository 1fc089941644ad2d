{{
    config(
        unit=['event_date', 'user_id'],
        feed=['user_id', 'event_type', 'event_date', 'event_timestamp'],
        indexes=[{'columns': ['user_id', 'event_timestamp']}, {'columns': ['user_id', 'event_date']}],
    )
}}

{% set sources = ['fact_events', 'int_user_milestones'] %}

-- In a strict funnel every other event is one that comes between.
{% set is_of_a_funnel = "event_type in (select steps.event_type from " ~ ref('int_funnel_steps') ~ " as steps)"
    ~ " or exists (select 1 from " ~ ref('int_funnel_steps') ~ " as steps where steps.mode = 'strict')" %}

{% call touched_when() %}
    select changes.event_date, changes.user_id
    from {{ changes('fact_events') }}
    where {{ is_of_a_funnel }}
{% endcall %}
{{ touched_by('int_user_milestones', ['event_date', 'user_id']) }}

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
    and ({{ is_of_a_funnel }})
{{ "union all" if not loop.last }}
{% endfor %}
