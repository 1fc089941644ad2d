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

{{ affected_by('stg_users', ['user_id']) }}

{% set attributes = [
    'customer_id',
    'email',
    'full_name',
    'phone',
    'country',
    'role',
    'signed_up_at',
    'marketing_opt_in',
    'is_deleted',
] %}

with history as (
    {{ versions_of(ref('stg_users'), 'user_id', attributes) }}
),

versions as (
    select
        {{ version_key('user_id', 'valid_from') }} as user_sk,
        user_id,
        customer_id,
        email,
        full_name,
        phone,
        country,
        role,
        signed_up_at,
        marketing_opt_in,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from history
    -- A deletion ends the version before it and opens none.
    where not is_deleted
),

unknown as (
    select
        {{ unknown_key() }} as user_sk,
        -- No row that lands has an empty key.
        '' as user_id,
        cast(null as text) as customer_id,
        cast(null as text) as email,
        cast(null as text) as full_name,
        cast(null as text) as phone,
        cast(null as text) as country,
        cast(null as text) as role,
        cast(null as timestamptz) as signed_up_at,
        cast(null as boolean) as marketing_opt_in,
        cast('0001-01-01 00:00:00+00' as timestamptz) as valid_from,
        cast(null as timestamptz) as valid_to,
        true as is_current
)

select * from versions
union all
select * from unknown
where {{ affected('user_id') }}
