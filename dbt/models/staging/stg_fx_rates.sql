select
    rate_date,
    currency,
    usd_rate,
    is_late,
    _landed_on
from {{ ref('base_fx_rates') }}
where _row_status = 'accepted'
