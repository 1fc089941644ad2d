select
    user_id,
    customer_id,
    updated_at,
    email,
    full_name,
    phone,
    country,
    role,
    signed_up_at,
    marketing_opt_in,
    is_deleted,
    is_late,
    _landed_on
from {{ ref('base_users') }}
where _row_status = 'accepted'
