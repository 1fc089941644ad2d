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

{% set columns = [
    'customer_id', 'updated_at', 'name', 'segment', 'industry', 'country', 'created_at',
    'is_deleted',
] %}

with raw_rows as (
    {{ landed_columns(source('raw', 'customers'), columns) }}
),

typed as (
    select
        raw_rows.*,
        {{ key_text('raw_customer_id') }} as customer_id,
        {{ read_timestamp('raw_updated_at') }} as updated_at,
        {{ one_line('raw_name') }} as name,
        {{ tidy('raw_segment') }} as segment,
        {{ tidy('raw_industry') }} as industry,
        countries.code as country,
        {{ read_timestamp('raw_created_at') }} as created_at,
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
