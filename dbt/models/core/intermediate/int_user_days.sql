{{
    config(
        rebuild_key=['event_date', 'user_id'],
        indexes=[
            {'columns': ['event_date', 'user_id'], 'unique': true},
            {'columns': ['user_id', 'event_date']},
        ],
    )
}}

{{ affected_by('fact_events', ['event_date', 'user_id']) }}

{% set returning_types = var("returning_event_types") %}

select
    event_date,
    user_id,
    cast(count(*) as integer) as events,
    cast(count(case when event_type = '{{ var("signup_event_type") }}' then 1 end) as integer) as signup_events,
    {% for feature in var("features") -%}
    cast(count(case when event_type = '{{ feature }}' then 1 end) as integer) as {{ feature }},
    {% endfor -%}
    {% if returning_types -%}
    cast(count(case when event_type in ({{ quoted(returning_types) }}) then 1 end) as integer) as returning_events,
    {% else -%}
    cast(count(*) as integer) as returning_events,
    {% endif -%}
    cast(count(distinct session_id) as integer) as sessions
from {{ ref('fact_events') }}
where {{ affected('event_date', 'user_id') }}
group by event_date, user_id
