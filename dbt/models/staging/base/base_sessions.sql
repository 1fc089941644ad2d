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
        raw_rows.*,
        {{ key_text('raw_session_id') }} as session_id,
        {{ key_text('raw_user_id') }} as user_id,
        {{ key_text('raw_customer_id') }} as customer_id,
        {{ key_text('raw_anonymous_id') }} as anonymous_id,
        {{ read_timestamp('raw_started_at') }} as started_at,
        {{ tidy('raw_utm_source') }} as utm_source,
        {{ tidy('raw_utm_medium') }} as utm_medium,
        {{ tidy('raw_utm_campaign') }} as utm_campaign,
        raw_rows.raw_referrer as referrer,
        raw_rows.raw_landing_page as landing_page
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
