{{
    config(
        rebuild_key=['product_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': ['is_current']},
        indexes=[{'columns': ['product_sk'], 'unique': true}, {'columns': ['product_id', 'valid_from'], 'unique': true}],
    )
}}

{{ affected_by('stg_products', ['product_id']) }}

{% set attributes = [
    'name',
    'category',
    'unit_price',
    'unit_cost',
    'currency',
    'is_active',
] %}

with history as (
    {{ versions_of(ref('stg_products'), 'product_id', attributes) }}
),

versions as (
    select
        {{ version_key('product_id', 'valid_from') }} as product_sk,
        product_id,
        name,
        category,
        unit_price,
        unit_cost,
        currency,
        is_active,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from history
),

unknown as (
    select
        {{ unknown_key() }} as product_sk,
        -- No row that lands has an empty key.
        '' as product_id,
        cast(null as text) as name,
        cast(null as text) as category,
        cast(null as numeric(18, 4)) as unit_price,
        cast(null as numeric(18, 4)) as unit_cost,
        cast(null as text) as currency,
        cast(null as boolean) as is_active,
        cast('0001-01-01 00:00:00+00' as timestamptz) as valid_from,
        cast(null as timestamptz) as valid_to,
        true as is_current
)

select * from versions
union all
select * from unknown
where {{ affected('product_id') }}
