{#-
  By every model, the touches of a conversion have all of its revenue and make one conversion; none
  is missing. Of the last 30 days: it is the largest table. Of older ones conversion_channels_add_up
  asks it, as far as their channels were given it.
-#}
{% set since = days_before_today(30) %}

with touched as (
    select
        conversion_id,
        max(revenue) as revenue,
        {% for model in attribution_models() -%}
        sum({{ model }}_revenue) as {{ model }}_revenue,
        sum({{ model }}_conversions) as {{ model }}_conversions,
        {% endfor -%}
        count(*) as touch_rows
    from {{ ref('attribution_touches') }}
    where converted_on > {{ since }}
    group by conversion_id
),

conversions as (
    select * from {{ ref('int_conversions') }}
    where converted_on > {{ since }}
)

select
    conversions.conversion_id,
    conversions.revenue as conversion_revenue,
    touched.*
from conversions
full join touched on conversions.conversion_id = touched.conversion_id
where
    conversions.conversion_id is null
    or touched.conversion_id is null
    or conversions.revenue <> touched.revenue
    {%- for model in attribution_models() %}
    or touched.{{ model }}_revenue <> touched.revenue
    or touched.{{ model }}_conversions <> 1
    {%- endfor %}
