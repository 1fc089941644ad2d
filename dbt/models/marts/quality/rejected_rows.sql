{#- A view, as the rows of the day are counted in no time by the index on rejected rows that each base model has. -#}
select
    landed_on,
    source,
    rule,
    cast(count(*) as bigint) as rejected_rows
from {{ ref('stg_rejects') }}
group by landed_on, source, rule
