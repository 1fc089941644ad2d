{#- Texts of a variable as a list of SQL. -#}
{% macro quoted(texts) -%}
    '{{ texts | map("replace", "'", "''") | join("', '") }}'
{%- endmacro %}
