{{
    config(
        rebuild_key=['event_date', 'user_id'],
        index_lookup={
            'fact_events': ['user_id', 'event_date'],
            'int_activations': ['user_id'],
            'int_account_milestones': ['user_id'],
        },
        change_log=['user_id', 'event_type', 'is_milestone', 'event_date', 'event_timestamp'],
        indexes=[
            {'columns': ['user_id', 'event_timestamp']},
            {'columns': ['user_id', 'event_date']},
        ],
    )
}}

{#- In a strict funnel any other event may interrupt two steps; a milestone never does. -#}
{% set steps = ref('int_funnel_steps') %}
{% set is_a_step = "event_type in (select steps.event_type from " ~ steps ~ " as steps)" %}
{% set may_count = is_a_step
    ~ " or exists (select 1 from " ~ steps ~ " as steps where steps.mode = 'strict')" %}

{% for source in ['fact_events', 'int_activations', 'int_account_milestones'] -%}
select
    event_id,
    user_id,
    event_type,
    {{ 'false' if source == 'fact_events' else 'true' }} as is_milestone,
    device,
    country,
    event_date,
    event_timestamp
from {{ ref(source) }}
where
    {{ exact.affected('event_date', 'user_id') }}
    and ({{ may_count if source == 'fact_events' else is_a_step }})
{{ "union all" if not loop.last }}
{% endfor %}

-- The keys that a change upstream affects.
{{ exact.affected_by('int_activations', ['event_date', 'user_id']) }}
{{ exact.affected_by('int_account_milestones', ['event_date', 'user_id']) }}
{% call exact.affected_when() %}
    select changes.event_date, changes.user_id
    from {{ exact.changes('fact_events') }}
    where {{ may_count }}
{% endcall %}
