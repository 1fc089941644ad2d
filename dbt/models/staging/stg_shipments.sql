select
    shipment_id,
    order_id,
    carrier,
    shipped_at,
    promised_at,
    delivered_at,
    updated_at,
    is_late,
    _landed_on
from {{ ref('base_shipments') }}
where _row_status = 'accepted'
