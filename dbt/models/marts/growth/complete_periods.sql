{#- A view: which periods are over changes with the newest day alone, and nothing is built on it. -#}
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
