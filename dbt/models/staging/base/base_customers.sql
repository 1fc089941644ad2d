{{
    config(
        materialized='landed',
        source='customers',
        key=['customer_id', 'updated_at'],
        feed=['customer_id'],
        indexes=[
            {'columns': ['customer_id', 'updated_at']},
            {'columns': ['_load_id']},
        ],
    )
}}

with raw_rows as (
    select
        {{ column_text('customer_id') }} as customer_id,
        {{ column_text('updated_at') }} as updated_at,
        {{ column_text('name') }} as name,
        {{ column_text('segment') }} as segment,
        {{ column_text('industry') }} as industry,
        {{ column_text('country') }} as country,
        {{ column_text('created_at') }} as created_at,
        {{ column_text('is_deleted') }} as is_deleted,
        {{ columns_original(['customer_id', 'updated_at', 'name', 'segment', 'industry', 'country', 'created_at', 'is_deleted']) }} as original,
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('raw', 'customers') }}
    where {{ newly_landed() }}
),

-- Read once: what follows uses each value several times.
typed as {{ materialized_cte() }} (
    select
        customer_id,
        updated_at as raw_updated_at,
        {{ read_timestamp('updated_at') }} as updated_at,
        name,
        lower(segment) as segment,
        lower(industry) as industry,
        upper(country) as country,
        {{ read_timestamp('created_at') }} as created_at,
        coalesce({{ read_boolean('is_deleted') }}, false) as is_deleted,
        created_at as raw_created_at,
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
            when customer_id is null then 'customer_id_missing'
            when raw_updated_at is null then 'updated_at_missing'
            when updated_at is null then 'updated_at_unreadable'
            when {{ day_of('updated_at') }} < cast('{{ var("earliest_day") }}' as date) then 'updated_at_too_early'
            when {{ day_of('updated_at') }} > {{ plus_days('_landed_on', 1) }} then 'updated_at_in_the_future'
            when raw_created_at is not null and {{ read_timestamp('raw_created_at') }} is null then 'created_at_unreadable'
            when raw_is_deleted is not null and {{ read_boolean('raw_is_deleted') }} is null then 'is_deleted_unreadable'
        end as _reject_rule
    from typed
)

select
    customer_id,
    updated_at,
    name,
    segment,
    industry,
    country,
    created_at,
    is_deleted,
    {{ day_of('updated_at') }} < _landed_on as is_late,
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then original end as _original
from judged
