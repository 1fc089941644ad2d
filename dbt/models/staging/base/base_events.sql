{{
    config(
        materialized='landed',
        source='events',
        key=['event_id'],
        feed=['event_id'],
        indexes=[
            {'columns': ['event_id']},
            {'columns': ['user_id', 'event_timestamp']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ document_text('event_id') }} as event_id,
        {{ document_text('user_id') }} as user_id,
        {{ document_text('event_type') }} as event_type,
        {{ document_text('event_timestamp') }} as event_timestamp,
        {{ document_text('received_at') }} as received_at,
        {{ document_text('session_id') }} as session_id,
        {{ document_text('device') }} as device,
        {{ document_text('platform') }} as platform,
        {{ document_text('app_version') }} as app_version,
        {{ document_text('country') }} as country,
        {{ document_json('properties') }} as properties,
        {{ document_original() }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'events') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        event_id,
        user_id,
        session_id,
        lower(event_type) as event_type,
        event_timestamp as raw_event_timestamp,
        {{ read_timestamp('event_timestamp') }} as event_timestamp,
        {{ read_timestamp('received_at') }} as received_at,
        lower(device) as device,
        lower(platform) as platform,
        app_version,
        upper(country) as country,
        properties,
        received_at as raw_received_at,
        original,
        _landed_on,
        _file,
        _line,
        _load_id
    from raw_rows
),

judged as (
    select
        *,
        {{ day_of('event_timestamp') }} as event_date,
        case
            when event_id is null then 'event_id_missing'
            when user_id is null then 'user_id_missing'
            when event_type is null then 'event_type_missing'
            when raw_event_timestamp is null then 'event_timestamp_missing'
            when event_timestamp is null then 'event_timestamp_unreadable'
            when {{ day_of('event_timestamp') }} < cast('{{ var("earliest_day") }}' as date) then 'event_timestamp_too_early'
            when {{ day_of('event_timestamp') }} > {{ plus_days('_landed_on', 1) }} then 'event_timestamp_in_the_future'
            when raw_received_at is not null and {{ read_timestamp('raw_received_at') }} is null then 'received_at_unreadable'
        end as _reject_rule
    from typed
)

select
    event_id,
    user_id,
    session_id,
    event_type,
    event_timestamp,
    event_date,
    received_at,
    device,
    platform,
    app_version,
    country,
    properties,
    event_date < _landed_on as is_late,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
