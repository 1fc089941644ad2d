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
        raw_rows.*,
        {{ key_text('raw_user_id') }} as user_id,
        {{ key_text('raw_customer_id') }} as customer_id,
        {{ read_timestamp('raw_updated_at') }} as updated_at,
        lower(raw_rows.raw_email) as email,
        {{ one_line('raw_full_name') }} as full_name,
        raw_rows.raw_phone as phone,
        countries.code as country,
        {{ tidy('raw_role') }} as role,
        {{ read_timestamp('raw_signed_up_at') }} as signed_up_at,
        {{ read_boolean('raw_marketing_opt_in') }} as marketing_opt_in,
        {{ read_boolean('raw_is_deleted') }} as is_deleted
    from raw_rows
    left join {{ country_names() }} as countries
        on {{ tidy('raw_rows.raw_country') }} = countries.name
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['user_id']) }}
            {{ reject_too_long(['user_id', 'customer_id']) }}
            {{ reject_missing(['raw_updated_at']) }}
            {{ reject_unreadable([
                'updated_at', 'signed_up_at', 'marketing_opt_in', 'is_deleted',
            ]) }}
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
