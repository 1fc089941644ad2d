{{
    config(
        rebuild_key=['user_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': ['is_current']},
        indexes=[
            {'columns': ['user_sk'], 'unique': true},
            {'columns': ['user_id', 'valid_from'], 'unique': true},
            {'columns': ['customer_id']},
        ],
    )
}}

{% set attributes = {
    'customer_id': 'text',
    'email': 'text',
    'full_name': 'text',
    'phone': 'text',
    'country': 'text',
    'role': 'text',
    'signed_up_at': 'timestamptz',
    'marketing_opt_in': 'boolean',
} %}

with history as (
    {{ versions_of(ref('stg_users'), 'user_id', attributes | list + ['is_deleted']) }}
),

versions as (
    select
        {{ version_key('user_id', 'valid_from') }} as user_sk,
        user_id,
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
from ({{ unknown_member('user_sk', 'user_id', attributes) }}) as unknown
where {{ exact.affected('user_id') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('stg_users', ['user_id']) }}
