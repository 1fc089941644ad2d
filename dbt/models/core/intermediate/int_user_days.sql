{{
    config(
        unit=['event_date', 'user_id'],
        indexes=[
            {'columns': ['event_date', 'user_id'], 'unique': true},
            {'columns': ['user_id', 'event_date']},
        ],
    )
}}

{{ touched_by('fact_events', ['event_date', 'user_id']) }}

{% set returning_types = var("returning_event_types") %}

select
    event_date,
    user_id,
    cast(count(*) as integer) as events,
    cast(count(case when event_type = '{{ var("signup_event_type") }}' then 1 end) as integer) as signup_events,
    {% for feature in var("features") -%}
    cast(count(case when event_type = '{{ feature }}' then 1 end) as integer) as {{ feature }},
    {% endfor -%}
    cast(
        {{ "count(case when event_type in ('" ~ returning_types | join("', '") ~ "') then 1 end)" if returning_types else "count(*)" }} as integer
    ) as returning_events,
    cast(count(distinct session_id) as integer) as sessions
from {{ ref('fact_events') }}
where {{ touched('event_date', 'user_id') }}
group by event_date, user_id
