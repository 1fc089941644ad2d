{#-
  A statement: an index that finds the rejected rows of a base model without reading the others, and
  counts them by rule without reading the table.
-#}
{% macro index_rejected_rows() -%}{{ adapter.dispatch("index_rejected_rows")() }}{%- endmacro %}

{% macro default__index_rejected_rows() -%}
    {{ exceptions.raise_compiler_error(
        "index_rejected_rows() is not implemented for " ~ target.type
    ) }}
{%- endmacro %}

{% macro postgres__index_rejected_rows() -%}
    create index if not exists {{ this.identifier }}_rejected
    on {{ this }} (_landed_on, _reject_rule)
    where _row_status = 'rejected'
{%- endmacro %}

{#- A statement: an index that finds the few rows that had personal data in their JSON. -#}
{% macro index_redacted_rows() -%}{{ adapter.dispatch("index_redacted_rows")() }}{%- endmacro %}

{% macro default__index_redacted_rows() -%}
    {{ exceptions.raise_compiler_error(
        "index_redacted_rows() is not implemented for " ~ target.type
    ) }}
{%- endmacro %}

{% macro postgres__index_redacted_rows() -%}
    create index if not exists {{ this.identifier }}_redacted on {{ this }} (_landed_on)
    where personal_data is not null
{%- endmacro %}

{#-
  Statements: an index for each reference of a fact (macros/references.sql), which counts the rows
  that have the unknown member. A condition that a constraint implies is not in the index:
  PostgreSQL removes such a condition from a query, and would not see that the index matches.
-#}
{% macro index_unknown_members() -%}{{ adapter.dispatch("index_unknown_members")() }}{%- endmacro %}

{% macro default__index_unknown_members() -%}
    {{ exceptions.raise_compiler_error(
        "index_unknown_members() is not implemented for " ~ target.type
    ) }}
{%- endmacro %}

{% macro postgres__index_unknown_members() -%}
    {#- While dbt parses, the contract is not available yet. -#}
    {% for fact, key, member, day in references() if execute and fact == model.name -%}
    create index if not exists {{ fact }}_unknown_{{ member }} on {{ this }} ({{ day }})
    where {{ member }} = {{ unknown_key() }}
        {%- if not is_required(key) %} and {{ key }} is not null{% endif %};
    {% endfor %}
{%- endmacro %}

{#- Whether the contract of this model says that a column is never NULL. -#}
{% macro is_required(column) -%}
    {{ return("not_null" in model.columns[column].constraints | map(attribute="type") | list) }}
{%- endmacro %}
