{{
    config(
        materialized='landed',
        source='customers',
        key=['customer_id', 'updated_at'],
        change_log=['customer_id'],
        indexes=[
            {'columns': ['customer_id', 'updated_at']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = ['customer_id', 'updated_at', 'name', 'segment', 'industry', 'country', 'created_at', 'is_deleted'] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'customers'), columns) }}
),

typed as (
    select
        {{ key_text('customer_id') }} as customer_id,
        {{ read_timestamp('updated_at') }} as updated_at,
        {{ one_line('name') }} as name,
        {{ tidy('segment') }} as segment,
        {{ tidy('industry') }} as industry,
        {{ country_code('country') }} as country,
        {{ read_timestamp('created_at') }} as created_at,
        {{ read_boolean('is_deleted') }} as is_deleted,
        updated_at as raw_updated_at,
        created_at as raw_created_at,
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
            {{ reject_missing(['customer_id']) }}
            {{ reject_too_long(['customer_id']) }}
            {{ reject_missing(['raw_updated_at']) }}
            {{ reject_unreadable(['updated_at', 'created_at', 'is_deleted']) }}
            {{ reject_absurd_time(['updated_at']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    customer_id,
    updated_at,
    name,
    segment,
    industry,
    country,
    created_at,
    coalesce(is_deleted, false) as is_deleted,
    {{ landing_day_of('updated_at') }} < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
