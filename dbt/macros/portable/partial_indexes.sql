{#-
  A statement that lets a base model's rejected rows be read without the others, and counted by
  their rule without being read.
-#}
{% macro index_rejected_rows() -%}{{ adapter.dispatch("index_rejected_rows")() }}{%- endmacro %}

{% macro default__index_rejected_rows() -%}
    {{ exceptions.raise_compiler_error("index_rejected_rows() is not implemented for " ~ target.type) }}
{%- endmacro %}

{% macro postgres__index_rejected_rows() -%}
    create index if not exists {{ this.identifier }}_rejected on {{ this }} (_landed_on, _reject_rule) where _row_status = 'rejected'
{%- endmacro %}

{#- Statement that lets the few rows be found that had personal data in their JSON. -#}
{% macro index_redacted_rows() -%}{{ adapter.dispatch("index_redacted_rows")() }}{%- endmacro %}

{% macro default__index_redacted_rows() -%}
    {{ exceptions.raise_compiler_error("index_redacted_rows() is not implemented for " ~ target.type) }}
{%- endmacro %}

{% macro postgres__index_redacted_rows() -%}
    create index if not exists {{ this.identifier }}_redacted on {{ this }} (_landed_on) where personal_data is not null
{%- endmacro %}

{#-
  Statements that let the rows of a fact be counted that carry the unknown member, by its references
  (macros/references.sql). PostgreSQL leaves out of a query what a constraint says already, and does
  not see then that an index with the same words fits.
-#}
{% macro index_unknown_members() -%}{{ adapter.dispatch("index_unknown_members")() }}{%- endmacro %}

{% macro default__index_unknown_members() -%}
    {{ exceptions.raise_compiler_error("index_unknown_members() is not implemented for " ~ target.type) }}
{%- endmacro %}

{% macro postgres__index_unknown_members() -%}
    {#- The contract is not there yet when dbt parses. -#}
    {% for fact, key, member, day in references() if execute and fact == model.name -%}
    create index if not exists {{ fact }}_unknown_{{ member }} on {{ this }} ({{ day }})
    where {{ member }} = {{ unknown_key() }}{% if not is_required(key) %} and {{ key }} is not null{% endif %};
    {% endfor %}
{%- endmacro %}

{#- Whether the contract of this model says that a column is never NULL. -#}
{% macro is_required(column) -%}
    {{ return("not_null" in model.columns[column].constraints | map(attribute="type") | list) }}
{%- endmacro %}
