{{
    config(
        rebuild_key=['user_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': []},
        indexes=[{'columns': ['user_id', 'valid_from'], 'unique': true}],
    )
}}

with members as (
    select
        user_id,
        customer_id,
        valid_from,
        valid_to
    from {{ ref('dim_users') }}
    where customer_id is not null and {{ exact.affected('user_id') }}
),

plans as (
    select
        members.user_id,
        plans.plan_id,
        greatest(members.valid_from, plans.valid_from) as valid_from,
        least(members.valid_to, plans.valid_to) as valid_to
    from members
    inner join {{ ref('int_customer_plans') }} as plans
        on
            members.customer_id = plans.customer_id
            and (members.valid_to > plans.valid_from or members.valid_to is null)
            and (members.valid_from < plans.valid_to or plans.valid_to is null)
),

-- A plan that continues in the next span, or under another version of the user, is one plan.
continued as (
    select
        *,
        lag(plan_id) over (partition by user_id order by valid_from) = plan_id
        and lag(valid_to) over (partition by user_id order by valid_from) = valid_from as goes_on
    from plans
),

numbered as (
    select
        *,
        sum(case when goes_on then 0 else 1 end) over (
            partition by user_id order by valid_from
        ) as run
    from continued
)

select
    user_id,
    plan_id,
    min(valid_from) as valid_from,
    case when count(valid_to) = count(*) then max(valid_to) end as valid_to
from numbered
group by user_id, plan_id, run

-- The keys that a change upstream affects.
{{ exact.affected_by('dim_users', ['user_id']) }}
{% call exact.affected_when() %}
    select users.user_id
    from {{ exact.changes('int_customer_plans') }}
    inner join {{ ref('dim_users') }} as users on changes.customer_id = users.customer_id
{% endcall %}
