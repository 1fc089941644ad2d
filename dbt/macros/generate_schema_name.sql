{#-
  Schemas are named by layer (staging, core, marts), the same in every warehouse. Each warehouse is
  a database of its own.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
