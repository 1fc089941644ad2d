{#- The day that is "today" for every model, so that no model reads the clock. -#}
select
    coalesce({{ chosen_day() }}, max(landed_on)) as as_of,
    max(landed_on) as last_landed_on
from {{ source("raw", "loads") }}
where superseded_by is null
