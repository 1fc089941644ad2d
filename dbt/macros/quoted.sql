{#- The texts of a variable as a list in SQL. -#}
{% macro quoted(texts) -%}
    '{{ texts | map("replace", "'", "''") | join("', '") }}'
{%- endmacro %}
