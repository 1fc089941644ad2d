{#- The day that is "today" for every model, so that no model asks the clock. -#}
{% set chosen = env_var("DBT_AS_OF", "") or var("as_of") %}

select
    {% if chosen -%}
    cast('{{ chosen }}' as date) as as_of,
    {% else -%}
    max(landed_on) as as_of,
    {% endif -%}
    max(landed_on) as last_landed_on
from {{ source("raw", "loads") }}
where superseded_by is null
