{#- The attribution models, which divide a conversion among the visits that led to it. -#}
{% macro attribution_models() -%}
    {{ return(["first_touch", "last_touch", "linear", "position_based", "time_decay"]) }}
{%- endmacro %}

{#-
  A visit counts for this many hours before a conversion: 30 days of 24 hours, whatever the clocks.
-#}
{% macro attribution_reach_hours() -%}{{ return(30 * 24) }}{%- endmacro %}

{#-
  The weight of a touch of attribution_touches in each model with shares. Weights are whole numbers,
  whose sum is the same in any order. A conversion without a touch has one row, with all of it.
    linear: the same for all
    position_based: 40, 20 and 40 percent; of n touches the first and the last weigh 2 (n - 2), and
      each of the others 1
    time_decay: half of it for each week before the conversion
-#}
{% macro attribution_weights() -%}
    {%- set half_life_seconds = 7 * 24 * 3600 -%}
    {%- set is_an_end = "touches > 2 and touch_index in (1, touches)" -%}
    {%- set seconds = seconds_between("touched_at", "converted_at") -%}
    {%- set decayed = weight_after(seconds, half_life_seconds) -%}
    {{ return({
        "linear": "1",
        "position_based":
            "cast(case when " ~ is_an_end ~ " then 2 * (touches - 2) else 1 end as integer)",
        "time_decay": "case when touches = 0 then 1 else " ~ decayed ~ " end",
    }) }}
{%- endmacro %}

{#-
  The share of one touch, from the running `total` up to it: the difference to the previous touch.
-#}
{% macro share_of_touch(total, decimals) -%}
    cast({{ total }} - coalesce(lag({{ total }}) over each_touch, 0) as numeric(38, {{ decimals }}))
{%- endmacro %}
