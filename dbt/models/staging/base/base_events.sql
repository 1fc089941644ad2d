{{
    config(
        materialized='landed',
        source='events',
        key=['event_id'],
        change_log=['event_date', 'event_id'],
        indexes=[
            {'columns': ['event_id']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'event_id', 'user_id', 'session_id', 'event_type', 'event_timestamp', 'received_at', 'device',
    'platform', 'app_version', 'country',
] %}

with raw_rows as (
    {{ landed_documents(source('raw', 'events'), columns, ['properties']) }}
),

typed as (
    select
        {{ key_text('event_id') }} as event_id,
        {{ key_text('user_id') }} as user_id,
        {{ key_text('session_id') }} as session_id,
        {{ tidy('event_type') }} as event_type,
        {{ read_timestamp('event_timestamp') }} as event_timestamp,
        {{ read_timestamp('received_at') }} as received_at,
        {{ tidy('device') }} as device,
        {{ tidy('platform') }} as platform,
        app_version,
        {{ country_code('country') }} as country,
        properties,
        cast(properties as text) as raw_properties,
        event_timestamp as raw_event_timestamp,
        received_at as raw_received_at,
        _original,
        _landed_on,
        _file,
        _line,
        _load_id
    from raw_rows
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        {{ day_of('event_timestamp') }} as event_date,
        {{ personal_data_in('raw_properties') }} as personal_data,
        case
            {{ reject_missing(['event_id', 'user_id', 'event_type']) }}
            {{ reject_too_long(['event_id', 'user_id', 'session_id', 'event_type']) }}
            {{ reject_missing(['raw_event_timestamp']) }}
            {{ reject_unreadable(['event_timestamp', 'received_at']) }}
            {{ reject_absurd_time(['event_timestamp']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    event_id,
    user_id,
    session_id,
    event_type,
    event_timestamp,
    received_at,
    device,
    platform,
    app_version,
    country,
    case
        when personal_data is null then properties
        else {{ without_personal_data('raw_properties') }}
    end as properties,
    personal_data,
    event_date,
    {{ landing_day_of('event_timestamp') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
