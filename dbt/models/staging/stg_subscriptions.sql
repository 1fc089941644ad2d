select
    subscription_id,
    customer_id,
    plan_id,
    status,
    period_start,
    period_end,
    trial_end,
    monthly_amount,
    currency,
    updated_at,
    is_late,
    _landed_on
from {{ ref('base_subscriptions') }}
where _row_status = 'accepted'
