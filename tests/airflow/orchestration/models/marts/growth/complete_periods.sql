select
    grain,
    period_start
from {{ ref('growth_accounting') }}
