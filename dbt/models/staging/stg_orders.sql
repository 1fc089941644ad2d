select
    order_id,
    customer_id,
    user_id,
    ordered_at,
    order_date,
    status,
    currency,
    shipping_country,
    discount_amount,
    shipping_amount,
    tax_amount,
    updated_at,
    is_late,
    _landed_on
from {{ ref('base_orders') }}
where _row_status = 'accepted'
