select
    order_id,
    customer_id,
    user_id,
    ordered_at,
    status,
    currency,
    shipping_country,
    discount_amount,
    shipping_amount,
    tax_amount,
    updated_at,
    order_date,
    is_late,
    _landed_on
from {{ ref('base_orders') }}
where _row_status = 'accepted'
