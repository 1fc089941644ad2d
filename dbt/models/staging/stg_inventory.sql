select
    product_id,
    stock_date,
    on_hand,
    received,
    is_late,
    _landed_on
from {{ ref('base_inventory') }}
where _row_status = 'accepted'
