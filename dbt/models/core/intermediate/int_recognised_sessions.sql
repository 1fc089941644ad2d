{{
    config(
        rebuild_key=['session_id'],
        change_log=['session_id', 'customer_id', 'started_at'],
        indexes=[
            {'columns': ['session_id'], 'unique': true},
            {'columns': ['customer_id', 'started_at']},
        ],
    )
}}

-- A user without a customer is not taken for the next customer.
with visits as (
    select
        visits.*,
        (
            select later.customer_id
            from {{ ref('fact_sessions') }} as later
            where
                visits.anonymous_id = later.anonymous_id
                and later.customer_id is not null
                and visits.started_at <= later.started_at
            order by later.started_at asc, later.session_id asc
            limit 1
        ) as next_customer_id,
        (
            select earlier.customer_id
            from {{ ref('fact_sessions') }} as earlier
            where
                visits.anonymous_id = earlier.anonymous_id
                and earlier.customer_id is not null
                and visits.started_at > earlier.started_at
            order by earlier.started_at desc, earlier.session_id desc
            limit 1
        ) as last_customer_id
    from {{ ref('fact_sessions') }} as visits
    where
        visits.customer_id is null
        and visits.user_id is null
        and {{ exact.affected('visits.session_id') }}
)

select
    session_id,
    coalesce(next_customer_id, last_customer_id) as customer_id,
    channel,
    campaign,
    started_at
from visits
where coalesce(next_customer_id, last_customer_id) is not null

-- The keys that a change upstream affects. A known customer in a browser identifies the browser's
-- unknown visitors, unless another known visit, before or after, is closer to the unknown one.
{{ exact.affected_by('fact_sessions', ['session_id']) }}
{% call exact.affected_when() %}
    select visits.session_id
    from {{ exact.changes('fact_sessions') }}
    inner join {{ ref('fact_sessions') }} as visits
        on changes.anonymous_id = visits.anonymous_id and visits.customer_id is null
    where
        changes.customer_id is not null
        and not exists (
            select 1
            from {{ ref('fact_sessions') }} as nearer
            where
                changes.anonymous_id = nearer.anonymous_id
                and nearer.customer_id is not null
                and nearer.started_at > least(changes.started_at, visits.started_at)
                and nearer.started_at < greatest(changes.started_at, visits.started_at)
        )
{% endcall %}
