{{
    config(
        rebuild_key=['event_date', 'user_id'],
        indexes=[
            {'columns': ['event_date', 'user_id'], 'unique': true},
            {'columns': ['user_id', 'event_date']},
        ],
    )
}}

{% set returning_types = var("returning_event_types") %}
{% set is_return = "event_type in (" ~ quoted(returning_types) ~ ")"
    if returning_types else "true" %}

select
    event_date,
    user_id,
    cast(count(*) as integer) as events,
    cast(
        count(case when event_type = '{{ var("signup_event_type") }}' then 1 end) as integer
    ) as signup_events,
    {% for feature in var("features") -%}
    cast(count(case when event_type = '{{ feature }}' then 1 end) as integer) as {{ feature }},
    {% endfor -%}
    cast(count(case when {{ is_return }} then 1 end) as integer) as returning_events,
    cast(count(distinct session_id) as integer) as sessions
from {{ ref('fact_events') }}
where {{ exact.affected('event_date', 'user_id') }}
group by event_date, user_id

-- The keys that a change upstream affects.
{{ exact.affected_by('fact_events', ['event_date', 'user_id']) }}
