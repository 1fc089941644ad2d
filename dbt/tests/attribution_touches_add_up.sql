{#-
  In every attribution model, the touches of a conversion share all of its revenue and add up to one
  conversion, and no conversion is missing. Only the last 30 days are tested, because this is the
  largest table. conversion_channels_add_up tests the sums of older ones.
-#}
{% set since = days_before_today(30) %}

with shares as (
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
    shares.*
from conversions
full join shares on conversions.conversion_id = shares.conversion_id
where
    conversions.conversion_id is null
    or shares.conversion_id is null
    or conversions.revenue <> shares.revenue
    {%- for model in attribution_models() %}
    or shares.{{ model }}_revenue <> shares.revenue
    or shares.{{ model }}_conversions <> 1
    {%- endfor %}
