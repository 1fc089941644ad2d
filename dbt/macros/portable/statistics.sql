{#- One count divided by another, to four decimals; NULL if the other is 0. -#}
{% macro ratio(part, whole) -%}
    cast(cast({{ part }} as numeric(18, 4)) / nullif({{ whole }}, 0) as numeric(18, 4))
{%- endmacro %}

{#-
  The median of a group: the middle value, or the mean of the two in the middle. NULLs do not count.
-#}
{% macro median(expression) -%}{{ adapter.dispatch("median")(expression) }}{%- endmacro %}
{% macro postgres__median(expression) -%}
    percentile_cont(0.5) within group (order by {{ expression }})
{%- endmacro %}

{#-
  The rest of a weight of 1 that halves every `half_life` seconds: 2 to the power of -(seconds /
  half_life), in whole trillionths. It is computed in floating point, because numeric powers take a
  hundred times as long.
-#}
{% macro weight_after(seconds, half_life) -%}
    {{ adapter.dispatch("weight_after")(seconds, half_life) }}
{%- endmacro %}
{% macro postgres__weight_after(seconds, half_life) -%}
    cast(
        1e12 * power(cast(2 as float8), cast(-{{ seconds }} as float8) / {{ half_life }}) as bigint
    )
{%- endmacro %}
