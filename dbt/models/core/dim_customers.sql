{{
    config(
        rebuild_key=['customer_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': ['is_current']},
        indexes=[{'columns': ['customer_sk'], 'unique': true}, {'columns': ['customer_id', 'valid_from'], 'unique': true}],
    )
}}

{{ affected_by('stg_customers', ['customer_id']) }}

{% set attributes = [
    'name',
    'segment',
    'industry',
    'country',
    'created_at',
    'is_deleted',
] %}

with history as (
    {{ versions_of(ref('stg_customers'), 'customer_id', attributes) }}
),

versions as (
    select
        {{ version_key('customer_id', 'valid_from') }} as customer_sk,
        customer_id,
        name,
        segment,
        industry,
        country,
        created_at,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from history
    -- A deletion ends the version before it and opens none.
    where not is_deleted
),

unknown as (
    select
        {{ unknown_key() }} as customer_sk,
        -- No row that lands has an empty key.
        '' as customer_id,
        cast(null as text) as name,
        cast(null as text) as segment,
        cast(null as text) as industry,
        cast(null as text) as country,
        cast(null as timestamptz) as created_at,
        cast('0001-01-01 00:00:00+00' as timestamptz) as valid_from,
        cast(null as timestamptz) as valid_to,
        true as is_current
)

select * from versions
union all
select * from unknown
where {{ affected('customer_id') }}
