{#- A view: each base model has an index of its rejected rows, so counting them is fast. -#}
select
    landed_on,
    source,
    rule,
    cast(count(*) as bigint) as rejected_rows
from {{ ref('stg_rejects') }}
group by landed_on, source, rule
