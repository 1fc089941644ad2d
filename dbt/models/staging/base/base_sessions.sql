{{
    config(
        materialized='landed',
        source='sessions',
        key=['session_id'],
        change_log=['session_id', 'user_id', 'customer_id'],
        indexes=[
            {'columns': ['session_id']},
            {'columns': ['customer_id', 'started_at']},
            {'columns': ['user_id', 'started_at']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'session_id', 'user_id', 'customer_id', 'anonymous_id', 'started_at', 'utm_source',
    'utm_medium', 'utm_campaign', 'referrer', 'landing_page',
] %}

with raw_rows as (
    {{ landed_documents(source('raw', 'sessions'), columns) }}
),

typed as (
    select
        {{ key_text('session_id') }} as session_id,
        {{ key_text('user_id') }} as user_id,
        {{ key_text('customer_id') }} as customer_id,
        {{ key_text('anonymous_id') }} as anonymous_id,
        {{ read_timestamp('started_at') }} as started_at,
        {{ tidy('utm_source') }} as utm_source,
        {{ tidy('utm_medium') }} as utm_medium,
        {{ tidy('utm_campaign') }} as utm_campaign,
        referrer,
        landing_page,
        started_at as raw_started_at,
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
        {{ day_of('started_at') }} as session_date,
        case
            {{ reject_missing(['session_id']) }}
            {{ reject_too_long(['session_id', 'user_id', 'customer_id', 'anonymous_id']) }}
            {{ reject_missing(['raw_started_at']) }}
            {{ reject_unreadable(['started_at']) }}
            {{ reject_absurd_time(['started_at']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    session_id,
    user_id,
    customer_id,
    anonymous_id,
    started_at,
    utm_source,
    utm_medium,
    utm_campaign,
    referrer,
    landing_page,
    session_date,
    {{ landing_day_of('started_at') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
