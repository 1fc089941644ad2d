{{
    config(
        rebuild_key=['grain', 'period_start'],
        indexes=[{'columns': ['grain', 'period_start'], 'unique': true}]
    )
}}

{% call exact.affected_when() %}
    select distinct 'day', landed_on from {{ source('raw', 'loads') }}
{% endcall %}

select
    'day' as grain,
    landed_on as period_start,
    cast(sum(rows_landed) as integer) as orders,
    sum(rows_landed) as gross_revenue,
    sum(rows_landed) as net_revenue
from {{ source('raw', 'loads') }}
where source = 'orders' and superseded_by is null and {{ exact.affected("'day'", 'landed_on') }}
group by landed_on
