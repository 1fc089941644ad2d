{{
    config(
        materialized='landed',
        source='users',
        key=['user_id', 'updated_at'],
        feed=['user_id'],
        indexes=[
            {'columns': ['user_id', 'updated_at']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ column_text('user_id') }} as user_id,
        {{ column_text('updated_at') }} as updated_at,
        {{ column_text('customer_id') }} as customer_id,
        {{ column_text('email') }} as email,
        {{ column_text('full_name') }} as full_name,
        {{ column_text('phone') }} as phone,
        {{ column_text('country') }} as country,
        {{ column_text('role') }} as role,
        {{ column_text('signed_up_at') }} as signed_up_at,
        {{ column_text('marketing_opt_in') }} as marketing_opt_in,
        {{ column_text('is_deleted') }} as is_deleted,
        {{ columns_original(['user_id', 'updated_at', 'customer_id', 'email', 'full_name', 'phone', 'country', 'role', 'signed_up_at', 'marketing_opt_in', 'is_deleted']) }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'users') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        user_id,
        customer_id,
        updated_at as raw_updated_at,
        {{ read_timestamp('updated_at') }} as updated_at,
        lower(email) as email,
        full_name,
        phone,
        upper(country) as country,
        lower(role) as role,
        {{ read_timestamp('signed_up_at') }} as signed_up_at,
        {{ read_boolean('marketing_opt_in') }} as marketing_opt_in,
        coalesce({{ read_boolean('is_deleted') }}, false) as is_deleted,
        signed_up_at as raw_signed_up_at,
        marketing_opt_in as raw_marketing_opt_in,
        is_deleted as raw_is_deleted,
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
        case
            when user_id is null then 'user_id_missing'
            when raw_updated_at is null then 'updated_at_missing'
            when updated_at is null then 'updated_at_unreadable'
            when {{ day_of('updated_at') }} < cast('{{ var("earliest_day") }}' as date) then 'updated_at_too_early'
            when {{ day_of('updated_at') }} > {{ plus_days('_landed_on', 1) }} then 'updated_at_in_the_future'
            when raw_signed_up_at is not null and {{ read_timestamp('raw_signed_up_at') }} is null then 'signed_up_at_unreadable'
            when raw_marketing_opt_in is not null and {{ read_boolean('raw_marketing_opt_in') }} is null then 'marketing_opt_in_unreadable'
            when raw_is_deleted is not null and {{ read_boolean('raw_is_deleted') }} is null then 'is_deleted_unreadable'
        end as _reject_rule
    from typed
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
    is_deleted,
    {{ day_of('updated_at') }} < _landed_on as is_late,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
