select
    return_id,
    order_item_id,
    returned_at,
    quantity,
    reason,
    refund_amount,
    returned_date,
    is_late,
    _landed_on
from {{ ref('base_returns') }}
where _row_status = 'accepted'
