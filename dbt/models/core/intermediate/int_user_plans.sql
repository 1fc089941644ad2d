{{
    config(
        rebuild_key=['user_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': []},
        indexes=[{'columns': ['user_id', 'valid_from'], 'unique': true}],
    )
}}

{{ affected_by('dim_users', ['user_id']) }}

{% call affected_when() %}
    select users.user_id
    from {{ changes('fact_subscription_periods') }}
    inner join {{ ref('dim_users') }} as users on changes.customer_id = users.customer_id
{% endcall %}

with members as (
    select
        user_id,
        customer_id,
        valid_from,
        valid_to
    from {{ ref('dim_users') }}
    where customer_id is not null and {{ affected('user_id') }}
),

-- A period's days are days where the company reports, whatever zone that is.
periods as (
    select
        subscription_id,
        customer_id,
        coalesce(plan_id, 'unknown') as plan_id,
        {{ start_of_day('period_start') }} as valid_from,
        {{ start_of_day('period_end') }} as valid_to
    from {{ ref('fact_subscription_periods') }}
    where {{ when_affected(
        "customer_id in (select users.customer_id from " ~ ref('dim_users') ~ " as users"
        ~ " where users.user_id in (select user_id from affected))"
    ) }}
),

-- Periods may overlap. Between two neighbouring bounds nothing changes.
bounds as (
    select
        customer_id,
        valid_from as bound
    from periods
    union distinct
    select
        customer_id,
        valid_to as bound
    from periods
    where valid_to is not null
),

spans as (
    select
        customer_id,
        bound as valid_from,
        lead(bound) over (partition by customer_id order by bound) as valid_to
    from bounds
),

-- Of several plans at a time the one counts whose period began last.
ranked as (
    select
        spans.customer_id,
        spans.valid_from,
        spans.valid_to,
        periods.plan_id,
        row_number() over (
            partition by spans.customer_id, spans.valid_from
            order by periods.valid_from desc, periods.subscription_id desc
        ) as position
    from spans
    inner join periods
        on spans.customer_id = periods.customer_id and {{ valid_at('periods', 'spans.valid_from') }}
),

plans as (
    select
        members.user_id,
        ranked.plan_id,
        greatest(members.valid_from, ranked.valid_from) as valid_from,
        least(members.valid_to, ranked.valid_to) as valid_to
    from members
    inner join ranked
        on
            members.customer_id = ranked.customer_id
            and (members.valid_to > ranked.valid_from or members.valid_to is null)
            and (members.valid_from < ranked.valid_to or ranked.valid_to is null)
    where ranked.position = 1
),

-- A plan that goes on in the next span, or under another version of the user, is one.
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
        sum(case when goes_on then 0 else 1 end) over (partition by user_id order by valid_from) as run
    from continued
)

select
    user_id,
    plan_id,
    min(valid_from) as valid_from,
    case when count(valid_to) = count(*) then max(valid_to) end as valid_to
from numbered
group by user_id, plan_id, run
