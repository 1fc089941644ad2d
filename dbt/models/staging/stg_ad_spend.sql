select
    spend_date,
    channel,
    campaign,
    spend,
    currency,
    clicks,
    impressions,
    is_late,
    _landed_on
from {{ ref('base_ad_spend') }}
where _row_status = 'accepted'
