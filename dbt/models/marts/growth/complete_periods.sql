{#- A view, as a period is over by what day it is: with the newest day most rows stay and a few come, and nobody builds on it. -#}
{% set grains = ["day", "week", "month"] %}

with newest as (
    select max(date_day) as date_day from {{ ref('active_users') }}
)

{% for grain in grains -%}
select
    periods.grain,
    periods.period_start
from {{ ref('growth_accounting') }} as periods
inner join newest on {{ plus_periods(grain, "periods.period_start", 1) }} <= {{ plus_days("newest.date_day", 1) }}
where periods.grain = '{{ grain }}'
{{ "union all" if not loop.last }}
{% endfor %}
