{{
    config(
        rebuild_key=['event_date', 'customer_id'],
        indexes=[{'columns': ['event_date', 'customer_id'], 'unique': true}],
    )
}}

select
    days.event_date,
    members.customer_id,
    cast(count(*) as integer) as active_users,
    {% for feature in var("features") -%}
    cast(sum(days.{{ feature }}) as bigint) as {{ feature }},
    {% endfor -%}
    cast(sum(days.events) as bigint) as events
from {{ ref('int_user_days') }} as days
inner join {{ ref('int_user_customers') }} as members
    on days.user_id = members.user_id and {{ valid_at('members', 'days.event_date') }}
where {{ exact.affected('days.event_date', 'members.customer_id') }}
group by days.event_date, members.customer_id

-- The keys that a change upstream affects.
{% call exact.affected_when() %}
    select changes.event_date, members.customer_id
    from {{ exact.changes('int_user_days') }}
    inner join {{ ref('int_user_customers') }} as members
        on changes.user_id = members.user_id and {{ valid_at('members', 'changes.event_date') }}
{% endcall %}
-- A user who joins or leaves a customer affects the days of the window, and those that are gone
-- since. Each of the two has a join of its own, which uses the index on the days.
{% call exact.affected_when() %}
    select days.event_date, members.customer_id
    from (select * from {{ exact.changes('int_user_customers') }}) as members
    inner join {{ ref('int_user_days') }} as days
        on members.user_id = days.user_id and {{ valid_at('members', 'days.event_date') }}
    union
    select days.event_date, members.customer_id
    from (select * from {{ exact.changes('int_user_customers') }}) as members
    inner join (select * from {{ exact.changes('int_user_days') }}) as days
        on members.user_id = days.user_id and {{ valid_at('members', 'days.event_date') }}
{% endcall %}
