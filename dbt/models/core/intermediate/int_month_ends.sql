{{ config(unit=['month_start'], feed=['month_start', 'valued_on'], indexes=[{'columns': ['month_start'], 'unique': true}]) }}

{% call touched_when() %}
    select {{ period_of('month', 'changes.date_day') }} from {{ changes('dim_date') }}
{% endcall %}

select
    month_start,
    max(date_day) as valued_on
from {{ ref('dim_date') }}
where {{ touched('month_start') }}
group by month_start
