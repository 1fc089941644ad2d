{#- The median of a group: the middle value, or the mean of the two in the middle. NULLs do not count. -#}
{% macro median(expression) -%}{{ adapter.dispatch("median")(expression) }}{%- endmacro %}
{% macro postgres__median(expression) -%}
    percentile_cont(0.5) within group (order by {{ expression }})
{%- endmacro %}
