{#-
  A surrogate key: the MD5 of the columns' values, written so that no two lists of values look the
  same, even with NULLs.
-#}
{% macro surrogate_key(columns) -%}{{ adapter.dispatch("surrogate_key")(columns) }}{%- endmacro %}
{% macro postgres__surrogate_key(columns) -%}
    md5(cast(row({{ columns | join(", ") }}) as text))
{%- endmacro %}

{#- The surrogate key of a version: of its natural key and the point in time at which it begins. -#}
{% macro version_key(natural_key, valid_from) -%}
    {{ adapter.dispatch("version_key")(natural_key, valid_from) }}
{%- endmacro %}
{% macro postgres__version_key(natural_key, valid_from) -%}
    md5({{ natural_key }} || '|' || cast({{ valid_from }} at time zone 'UTC' as text))
{%- endmacro %}

{#- The surrogate key of the member that stands for a dimension row that has not arrived (yet). -#}
{% macro unknown_key() -%}'unknown'{%- endmacro %}

{#- Condition: the version of a slowly changing dimension that was valid at `moment`. -#}
{% macro valid_at(dimension, moment) -%}
    {{ moment }} >= {{ dimension }}.valid_from
    and ({{ moment }} < {{ dimension }}.valid_to or {{ dimension }}.valid_to is null)
{%- endmacro %}
