{#-
  In every attribution model, the channels of a conversion share all of its revenue and add up to
  one conversion, and no conversion is missing.
-#}
with divided as (
    select
        conversion_id,
        {% for model in attribution_models() -%}
        sum({{ model }}_revenue) as {{ model }}_revenue,
        sum({{ model }}_conversions) as {{ model }}_conversions,
        {% endfor -%}
        count(*) as channels
    from {{ ref('conversion_channels') }}
    group by conversion_id
)

select
    conversions.conversion_id,
    conversions.revenue as conversion_revenue,
    divided.*
from {{ ref('int_conversions') }} as conversions
full join divided on conversions.conversion_id = divided.conversion_id
where
    conversions.conversion_id is null
    or divided.conversion_id is null
    {%- for model in attribution_models() %}
    or divided.{{ model }}_revenue <> conversions.revenue
    or divided.{{ model }}_conversions <> 1
    {%- endfor %}
