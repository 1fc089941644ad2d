{#- The day that is "today" for every model, so that no model asks the clock. -#}
select
    coalesce((select chosen.as_of from change_feed.chosen_day as chosen), max(landed_on)) as as_of,
    max(landed_on) as last_landed_on
from {{ source("raw", "loads") }}
where superseded_by is null
