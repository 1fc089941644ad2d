{{
    config(
        rebuild_key=['product_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': ['is_current']},
        indexes=[
            {'columns': ['product_sk'], 'unique': true},
            {'columns': ['product_id', 'valid_from'], 'unique': true},
        ],
    )
}}

{% set attributes = {
    'name': 'text',
    'category': 'text',
    'unit_price': 'numeric(18, 4)',
    'unit_cost': 'numeric(18, 4)',
    'currency': 'text',
    'is_active': 'boolean',
} %}

with history as (
    {{ versions_of(ref('stg_products'), 'product_id', attributes | list) }}
),

versions as (
    select
        {{ version_key('product_id', 'valid_from') }} as product_sk,
        product_id,
        {{ attributes | join(', ') }},
        valid_from,
        valid_to,
        valid_to is null as is_current
    from history
)

select * from versions
union all
select *
from ({{ unknown_member('product_sk', 'product_id', attributes) }}) as unknown
where {{ exact.affected('product_id') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('stg_products', ['product_id']) }}
