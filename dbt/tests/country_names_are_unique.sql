{#- A text names at most one country, so that staging gets one row for each raw row. -#}
select
    names.name,
    min(names.code) as code,
    max(names.code) as other_code
from {{ country_names() }} as names
group by names.name
having count(*) > 1
