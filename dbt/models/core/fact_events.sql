{{
    config(
        rebuild_key=['event_date', 'event_id'],
        change_log=['event_date', 'user_id', 'event_type'],
        partition_by='event_date',
        indexes=[
            {'columns': ['event_date', 'event_id'], 'unique': true},
            {'columns': ['user_id', 'event_date']},
        ],
    )
}}

with events as (
    select * from {{ ref('stg_events') }}
    where {{ exact.affected('event_date', 'event_id') }}
)

select
    events.event_id,
    events.user_id,
    coalesce(users.user_sk, {{ unknown_key() }}) as user_sk,
    events.session_id,
    events.event_type,
    events.device,
    events.platform,
    events.app_version,
    events.country,
    events.properties,
    events.is_late,
    events.event_date,
    events.event_timestamp,
    events.received_at
from events
left join {{ ref('dim_users') }} as users
    on events.user_id = users.user_id and {{ valid_at('users', 'events.event_timestamp') }}

-- The keys that a change upstream affects. A late version of a user affects the events of its time;
-- new events are affected already. The day is compared for the index, and to skip older partitions.
{{ exact.affected_by('stg_events', ['event_date', 'event_id']) }}
{% call exact.affected_when() %}
    select events.event_date, events.event_id
    from {{ exact.changes('dim_users') }}
    inner join {{ this }} as events
        on
            changes.user_id = events.user_id
            and events.event_date >= {{ day_of('changes.valid_from') }}
            and {{ valid_at('changes', 'events.event_timestamp') }}
{% endcall %}
