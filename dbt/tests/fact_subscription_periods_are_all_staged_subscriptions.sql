{#- Every first day of a period of a subscription in staging is a fact, once. -#}
with staged as (
    select distinct subscription_id, {{ stated_day('period_start') }} as period_start from {{ ref('stg_subscriptions') }}
)

select
    coalesce(staged.subscription_id, facts.subscription_id) as subscription_id,
    coalesce(staged.period_start, facts.period_start) as period_start
from staged
full join {{ ref('fact_subscription_periods') }} as facts
    on staged.subscription_id = facts.subscription_id and staged.period_start = facts.period_start
where staged.subscription_id is null or facts.subscription_id is null
