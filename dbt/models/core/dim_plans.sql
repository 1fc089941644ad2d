{{ config(rebuild_key=['plan_id'], indexes=[{'columns': ['plan_id'], 'unique': true}]) }}

select
    plan_id,
    min(period_start) as first_period_start
from {{ ref('fact_subscription_periods') }}
where plan_id is not null and {{ exact.affected('plan_id') }}
group by plan_id

-- The keys that a change upstream affects: a new plan, and one whose first period comes or goes.
{% call exact.affected_when() %}
    select changes.plan_id
    from {{ exact.changes('fact_subscription_periods') }}
    left join {{ this }} as held on changes.plan_id = held.plan_id
    where
        changes.plan_id is not null
        and (held.plan_id is null or changes.period_start <= held.first_period_start)
{% endcall %}
