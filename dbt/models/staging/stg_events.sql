select
    event_id,
    user_id,
    session_id,
    event_type,
    event_timestamp,
    received_at,
    device,
    platform,
    app_version,
    country,
    properties,
    event_date,
    is_late,
    _landed_on
from {{ ref('base_events') }}
where _row_status = 'accepted'
