select
    order_item_id,
    order_id,
    product_id,
    quantity,
    unit_price,
    discount_amount,
    _landed_on
from {{ ref('base_order_items') }}
where _row_status = 'accepted'
