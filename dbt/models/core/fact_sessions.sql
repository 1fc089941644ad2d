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

{{ affected_by('stg_sessions', ['session_id']) }}

-- A late version of a user may belong to another customer.
{% call affected_when() %}
    select sessions.session_id
    from {{ changes('dim_users') }}
    inner join {{ ref('stg_sessions') }} as sessions
        on changes.user_id = sessions.user_id and {{ valid_at('changes', 'sessions.started_at') }}
{% endcall %}

-- The customer may be that of the user, which this table knows and staging does not.
{% call affected_when() %}
    select held.session_id
    from {{ changes('dim_customers') }}
    inner join {{ this }} as held
        on changes.customer_id = held.customer_id and {{ valid_at('changes', 'held.started_at') }}
{% endcall %}

with sessions as (
    select
        sessions.*,
        coalesce(users.user_sk, {{ unknown_key() }}) as user_sk,
        coalesce(sessions.customer_id, users.customer_id) as known_customer_id
    from {{ ref('stg_sessions') }} as sessions
    left join {{ ref('dim_users') }} as users
        on sessions.user_id = users.user_id and {{ valid_at('users', 'sessions.started_at') }}
    where {{ affected('sessions.session_id') }}
)

select
    sessions.session_id,
    sessions.user_id,
    sessions.user_sk,
    sessions.known_customer_id as customer_id,
    coalesce(customers.customer_sk, {{ unknown_key() }}) as customer_sk,
    sessions.anonymous_id,
    {{ channel_of('sessions.utm_source', 'sessions.utm_medium', 'sessions.referrer') }} as channel,
    sessions.utm_campaign as campaign,
    sessions.utm_source,
    sessions.utm_medium,
    sessions.referrer,
    sessions.landing_page,
    sessions.is_late,
    sessions.session_date,
    sessions.started_at
from sessions
left join {{ ref('dim_customers') }} as customers
    on sessions.known_customer_id = customers.customer_id and {{ valid_at('customers', 'sessions.started_at') }}
