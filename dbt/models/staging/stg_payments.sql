select
    payment_id,
    customer_id,
    order_id,
    subscription_id,
    kind,
    method,
    status,
    amount,
    currency,
    paid_at,
    paid_date,
    is_late,
    _landed_on
from {{ ref('base_payments') }}
where _row_status = 'accepted'
