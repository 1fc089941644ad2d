{#- A statement that lets a base model's rejected rows be read without the others. -#}
{% macro index_rejected_rows() -%}{{ adapter.dispatch("index_rejected_rows")() }}{%- endmacro %}

{% macro default__index_rejected_rows() -%}
    {{ exceptions.raise_compiler_error("index_rejected_rows() is not implemented for " ~ target.type) }}
{%- endmacro %}

{% macro postgres__index_rejected_rows() -%}
    create index if not exists {{ this.identifier }}_rejected on {{ this }} (_landed_on) where _row_status = 'rejected'
{%- endmacro %}
