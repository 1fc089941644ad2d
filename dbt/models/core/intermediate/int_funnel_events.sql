{{
    config(
        rebuild_key=['event_date', 'user_id'],
        index_lookup={'fact_events': ['user_id', 'event_date'], 'int_user_milestones': ['user_id']},
        change_log=['user_id', 'event_type', 'is_milestone', 'event_date', 'event_timestamp'],
        indexes=[{'columns': ['user_id', 'event_timestamp']}, {'columns': ['user_id', 'event_date']}],
    )
}}

{% set is_a_step = "event_type in (select steps.event_type from " ~ ref('int_funnel_steps') ~ " as steps)" %}

-- In a strict funnel every other event is one that comes between. A milestone is no event of the user, and never does.
{% set may_count = is_a_step
    ~ " or exists (select 1 from " ~ ref('int_funnel_steps') ~ " as steps where steps.mode = 'strict')" %}
{% set sources = {'fact_events': may_count, 'int_user_milestones': is_a_step} %}

{% call affected_when() %}
    select changes.event_date, changes.user_id
    from {{ changes('fact_events') }}
    where {{ may_count }}
{% endcall %}
{{ affected_by('int_user_milestones', ['event_date', 'user_id']) }}

{% for source, condition in sources.items() -%}
select
    event_id,
    user_id,
    event_type,
    {{ 'true' if source == 'int_user_milestones' else 'false' }} as is_milestone,
    device,
    country,
    event_date,
    event_timestamp
from {{ ref(source) }}
where
    {{ affected('event_date', 'user_id') }}
    and ({{ condition }})
{{ "union all" if not loop.last }}
{% endfor %}
