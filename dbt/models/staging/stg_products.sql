select
    product_id,
    updated_at,
    name,
    category,
    unit_price,
    unit_cost,
    currency,
    is_active,
    _landed_on
from {{ ref('base_products') }}
where _row_status = 'accepted'
