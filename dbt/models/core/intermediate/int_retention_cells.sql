{#-
  Every cohort with each of its periods that has begun by "today", up to retention_periods.
-#}
{{ config(materialized='view') }}

with
{% for grain, horizon in var("retention_periods").items() -%}
{{ grain }}_offsets as (
    {{ whole_numbers(0, horizon) }}
){{ "," if not loop.last }}
{% endfor %}

{% for grain in var("retention_periods") -%}
select
    '{{ grain }}' as grain,
    cohorts.period_start as cohort_start,
    offsets.number as period_index,
    returns.period_start as return_start
from {{ ref('int_activity_spine') }} as cohorts
cross join {{ grain }}_offsets as offsets
inner join {{ ref('int_activity_spine') }} as returns
    on returns.period_start = {{ plus_periods(grain, 'cohorts.period_start', 'offsets.number') }}
where cohorts.grain = '{{ grain }}' and returns.grain = '{{ grain }}'
{{ "union all" if not loop.last }}
{% endfor %}
