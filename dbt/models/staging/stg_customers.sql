select
    customer_id,
    updated_at,
    name,
    segment,
    industry,
    country,
    created_at,
    is_deleted,
    is_late,
    _landed_on
from {{ ref('base_customers') }}
where _row_status = 'accepted'
