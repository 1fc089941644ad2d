{{
    config(
        rebuild_key=['customer_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': ['is_current']},
        indexes=[
            {'columns': ['customer_sk'], 'unique': true},
            {'columns': ['customer_id', 'valid_from'], 'unique': true},
        ],
    )
}}

{% set attributes = {
    'name': 'text',
    'segment': 'text',
    'industry': 'text',
    'country': 'text',
    'created_at': 'timestamptz',
} %}

with history as (
    {{ versions_of(ref('stg_customers'), 'customer_id', attributes | list + ['is_deleted']) }}
),

versions as (
    select
        {{ version_key('customer_id', 'valid_from') }} as customer_sk,
        customer_id,
        {{ attributes | join(', ') }},
        valid_from,
        valid_to,
        valid_to is null as is_current
    from history
    -- A deletion ends the previous version and opens none.
    where not is_deleted
)

select * from versions
union all
select *
from ({{ unknown_member('customer_sk', 'customer_id', attributes) }}) as unknown
where {{ exact.affected('customer_id') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('stg_customers', ['customer_id']) }}
