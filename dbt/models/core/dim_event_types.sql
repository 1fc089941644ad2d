{{ config(rebuild_key=['event_type'], indexes=[{'columns': ['event_type'], 'unique': true}]) }}

select
    event_type,
    case
        when event_type = '{{ var("signup_event_type") }}' then 'signup'
        when event_type in ({{ quoted(var("features")) }}) then 'feature'
        else 'other'
    end as kind,
    min(event_date) as first_seen,
    max(event_date) as last_seen
from {{ ref('int_event_type_days') }}
where {{ exact.affected('event_type') }}
group by event_type

-- The keys that a change upstream affects.
{{ exact.affected_by('int_event_type_days', ['event_type']) }}
