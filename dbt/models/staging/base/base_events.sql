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
        raw_rows.*,
        {{ key_text('raw_event_id') }} as event_id,
        {{ key_text('raw_user_id') }} as user_id,
        {{ key_text('raw_session_id') }} as session_id,
        {{ tidy('raw_event_type') }} as event_type,
        {{ read_timestamp('raw_event_timestamp') }} as event_timestamp,
        {{ read_timestamp('raw_received_at') }} as received_at,
        {{ tidy('raw_device') }} as device,
        {{ tidy('raw_platform') }} as platform,
        raw_rows.raw_app_version as app_version,
        countries.code as country,
        raw_rows.raw_properties as properties,
        cast(raw_rows.raw_properties as text) as properties_text
    from raw_rows
    left join {{ country_names() }} as countries
        on {{ tidy('raw_rows.raw_country') }} = countries.name
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        {{ day_of('event_timestamp') }} as event_date,
        {{ personal_data_in('properties_text') }} as personal_data,
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
        else {{ without_personal_data('properties_text') }}
    end as properties,
    personal_data,
    event_date,
    {{ landing_day_of('event_timestamp') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
