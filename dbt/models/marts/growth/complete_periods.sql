{#- A view: it changes only with the newest day, and no model reads it. -#}
{% set grains = ["day", "week", "month"] %}

with newest as (
    select {{ plus_days("max(date_day)", 1) }} as day_after from {{ ref('active_users') }}
)

{% for grain in grains -%}
select
    periods.grain,
    periods.period_start
from {{ ref('growth_accounting') }} as periods
inner join newest on {{ plus_periods(grain, "periods.period_start", 1) }} <= newest.day_after
where periods.grain = '{{ grain }}'
{{ "union all" if not loop.last }}
{% endfor %}
