{{ config(rebuild_key=['date_day'], indexes=[{'columns': ['date_day'], 'unique': true}]) }}

{% call exact.affected_when() %}
    select distinct landed_on from {{ source('raw', 'loads') }}
{% endcall %}

select
    landed_on as date_day,
    cast(sum(rows_landed) as integer) as dau,
    cast(sum(rows_landed) as integer) as wau,
    cast(sum(rows_landed) as integer) as mau,
    cast(null as numeric) as stickiness
from {{ source('raw', 'loads') }}
where source = 'events' and superseded_by is null and {{ exact.affected('landed_on') }}
group by landed_on
