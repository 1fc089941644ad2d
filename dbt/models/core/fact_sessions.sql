{{
    config(
        rebuild_key=['session_id'],
        change_log=['session_id', 'customer_id', 'anonymous_id', 'session_date', 'started_at'],
        indexes=[
            {'columns': ['session_id'], 'unique': true},
            {'columns': ['customer_id', 'started_at']},
            {'columns': ['anonymous_id', 'customer_id', 'started_at']},
            {'columns': ['anonymous_id', 'started_at']},
            {'columns': ['session_date']},
        ],
    )
}}

with sessions as (
    select
        sessions.*,
        coalesce(users.user_sk, {{ unknown_key() }}) as user_sk,
        coalesce(sessions.customer_id, users.customer_id) as known_customer_id
    from {{ ref('stg_sessions') }} as sessions
    left join {{ ref('dim_users') }} as users
        on sessions.user_id = users.user_id and {{ valid_at('users', 'sessions.started_at') }}
    where {{ exact.affected('sessions.session_id') }}
),

-- The first rule whose conditions all hold determines the channel.
first_rules as (
    select
        sessions.session_id,
        min(rules.priority) as priority
    from sessions
    inner join {{ ref('channel_rules') }} as rules
        on
            (rules.source is null or sessions.utm_source = rules.source)
            and (rules.medium is null or sessions.utm_medium = rules.medium)
            and (rules.referrer is null or lower(sessions.referrer) like rules.referrer)
            and (
                not rules.is_untagged
                or (sessions.utm_source is null and sessions.utm_medium is null)
            )
    group by sessions.session_id
)

select
    sessions.session_id,
    sessions.user_id,
    sessions.user_sk,
    sessions.known_customer_id as customer_id,
    coalesce(customers.customer_sk, {{ unknown_key() }}) as customer_sk,
    sessions.anonymous_id,
    coalesce(rules.channel, 'other') as channel,
    sessions.utm_campaign as campaign,
    sessions.utm_source,
    sessions.utm_medium,
    sessions.referrer,
    sessions.landing_page,
    sessions.is_late,
    sessions.session_date,
    sessions.started_at
from sessions
left join first_rules on sessions.session_id = first_rules.session_id
left join {{ ref('channel_rules') }} as rules on first_rules.priority = rules.priority
left join {{ ref('dim_customers') }} as customers
    on
        sessions.known_customer_id = customers.customer_id
        and {{ valid_at('customers', 'sessions.started_at') }}

-- The keys that a change upstream affects. A late version of a user may belong to another customer.
-- The customer may be that of the user, which this table knows and staging does not.
{{ exact.affected_by('stg_sessions', ['session_id']) }}
{{ affected_by_versions(
    'dim_users', ref('stg_sessions'), 'user_id', 'started_at', ['session_id']
) }}
{{ affected_by_versions('dim_customers', this, 'customer_id', 'started_at', ['session_id']) }}
