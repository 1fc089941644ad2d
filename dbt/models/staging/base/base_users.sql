{{
    config(
        materialized='landed',
        source='users',
        key=['user_id', 'updated_at'],
        change_log=['user_id'],
        indexes=[
            {'columns': ['user_id', 'updated_at']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = [
    'user_id', 'customer_id', 'updated_at', 'email', 'full_name', 'phone', 'country', 'role',
    'signed_up_at', 'marketing_opt_in', 'is_deleted',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'users'), columns) }}
),

typed as (
    select
        {{ key_text('user_id') }} as user_id,
        {{ key_text('customer_id') }} as customer_id,
        {{ read_timestamp('updated_at') }} as updated_at,
        lower(email) as email,
        {{ one_line('full_name') }} as full_name,
        phone,
        {{ country_code('country') }} as country,
        {{ tidy('role') }} as role,
        {{ read_timestamp('signed_up_at') }} as signed_up_at,
        {{ read_boolean('marketing_opt_in') }} as marketing_opt_in,
        {{ read_boolean('is_deleted') }} as is_deleted,
        updated_at as raw_updated_at,
        signed_up_at as raw_signed_up_at,
        marketing_opt_in as raw_marketing_opt_in,
        is_deleted as raw_is_deleted,
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
        case
            {{ reject_missing(['user_id']) }}
            {{ reject_too_long(['user_id', 'customer_id']) }}
            {{ reject_missing(['raw_updated_at']) }}
            {{ reject_unreadable(['updated_at', 'signed_up_at', 'marketing_opt_in', 'is_deleted']) }}
            {{ reject_absurd_time(['updated_at']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    user_id,
    customer_id,
    updated_at,
    email,
    full_name,
    phone,
    country,
    role,
    signed_up_at,
    marketing_opt_in,
    coalesce(is_deleted, false) as is_deleted,
    {{ landing_day_of('updated_at') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
