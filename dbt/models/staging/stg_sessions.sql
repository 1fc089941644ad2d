select
    session_id,
    user_id,
    customer_id,
    anonymous_id,
    started_at,
    utm_source,
    utm_medium,
    utm_campaign,
    referrer,
    landing_page,
    session_date,
    is_late,
    _landed_on
from {{ ref('base_sessions') }}
where _row_status = 'accepted'
