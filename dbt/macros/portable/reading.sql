{#-
  Reading raw text. Each macro gives NULL for what it cannot read, and never an error, so that a bad
  value can be explained in stg_rejects. The shape of the text is checked before the type's own
  parser is asked: PostgreSQL's would also take 'now' or 'infinity', and what they mean depends on
  the day of the run.
-#}

{#- A column of a source whose rows land as columns: trimmed, empty is NULL. -#}
{% macro column_text(column) -%}{{ adapter.dispatch("column_text")(column) }}{%- endmacro %}
{% macro postgres__column_text(column) -%}
    nullif(btrim({{ column }}, e' \t\r\n\u00a0\u200b\ufeff'), '')
{%- endmacro %}

{#- A field of a source whose rows land as JSON documents: trimmed, empty is NULL. -#}
{% macro document_text(field) -%}{{ adapter.dispatch("document_text")(field) }}{%- endmacro %}
{% macro postgres__document_text(field) -%}
    nullif(btrim(_doc ->> '{{ field }}', e' \t\r\n\u00a0\u200b\ufeff'), '')
{%- endmacro %}

{#- A field of a JSON document that is itself JSON. -#}
{% macro document_json(field) -%}{{ adapter.dispatch("document_json")(field) }}{%- endmacro %}
{% macro postgres__document_json(field) -%}
    _doc -> '{{ field }}'
{%- endmacro %}

{#- The whole raw row, as a reject shows it; cast to text only when it is shown. -#}
{% macro columns_original(columns) -%}{{ adapter.dispatch("columns_original")(columns) }}{%- endmacro %}
{% macro postgres__columns_original(columns) -%}
    cast(jsonb_strip_nulls(jsonb_build_object({% for column in columns %}'{{ column }}', {{ column }}{{ ", " if not loop.last }}{% endfor %})) as text)
{%- endmacro %}

{#-
  A category as it was meant: lower case, without space around it, and in Latin letters where a
  Cyrillic one that looks the same, or a wide form, was typed. Cut like a key, since it stands in
  indexes.
-#}
{% macro tidy(text) -%}{{ key_text(adapter.dispatch("tidy")(text)) }}{%- endmacro %}
{% macro postgres__tidy(text) -%}
    {#- Nearly every text is ASCII, and then there is nothing to fold. -#}
    case
        when octet_length({{ text }}) = length({{ text }}) then lower({{ text }})
        else nullif(btrim(lower(translate(normalize({{ text }}, nfkc), e'аеорсхуіАЕОРСХУІ\u200b', 'aeopcxyiAEOPCXYI'))), '')
    end
{%- endmacro %}

{#- A name without line breaks and repeated spaces inside. -#}
{% macro one_line(text) -%}{{ adapter.dispatch("one_line")(text) }}{%- endmacro %}
{% macro postgres__one_line(text) -%}
    regexp_replace({{ text }}, '\s+', ' ', 'g')
{%- endmacro %}

{#- ISO 8601 to a point in time. Without an offset it is UTC. -#}
{% macro read_timestamp(text) -%}{{ adapter.dispatch("read_timestamp")(text) }}{%- endmacro %}
{% macro postgres__read_timestamp(text) -%}
    {#-
      The letters T and Z alone: no 'now' and no name of a time zone. Three times as fast as a
      regular expression.
    -#}
    case
        when {{ text }} like '____-__-__%' and ltrim({{ text }}, '0123456789-:.+TZ ') = '' and pg_input_is_valid({{ text }}, 'timestamptz')
            then cast({{ text }} as timestamptz)
    end
{%- endmacro %}

{#- ISO 8601 date, or the date of a timestamp as it is written. -#}
{% macro read_date(text) -%}{{ adapter.dispatch("read_date")(text) }}{%- endmacro %}
{% macro postgres__read_date(text) -%}
    case
        when {{ text }} ~ '^\d{4}-\d\d-\d\d([T ].*)?$' and pg_input_is_valid(left({{ text }}, 10), 'date')
            then cast(left({{ text }}, 10) as date)
    end
{%- endmacro %}

{#-
  A plain decimal number. More than ten digits before the point is no amount, and could overflow
  what is computed from it.
-#}
{% macro read_decimal(text, precision=18, scale=4) -%}{{ adapter.dispatch("read_decimal")(text, precision, scale) }}{%- endmacro %}
{% macro postgres__read_decimal(text, precision, scale) -%}
    cast(case when {{ text }} ~ '^[+-]?(\d{1,10}(\.\d*)?|\.\d+)$' then {{ text }} end as numeric({{ precision }}, {{ scale }}))
{%- endmacro %}

{#- A whole number; '6.0' is one. -#}
{% macro read_integer(text) -%}{{ adapter.dispatch("read_integer")(text) }}{%- endmacro %}
{% macro postgres__read_integer(text) -%}
    case when {{ text }} ~ '^[+-]?\d{1,9}(\.0*)?$' then cast(cast({{ text }} as numeric(18, 0)) as integer) end
{%- endmacro %}

{% macro read_boolean(text) -%}{{ adapter.dispatch("read_boolean")(text) }}{%- endmacro %}
{% macro postgres__read_boolean(text) -%}
    case
        when lower({{ text }}) in ('true', 't', 'yes', 'y', '1') then true
        when lower({{ text }}) in ('false', 'f', 'no', 'n', '0') then false
    end
{%- endmacro %}

{#- The day on which the row landed, which the raw partition is named after. -#}
{% macro landed_on() -%}
    cast(left(_partition, 10) as date)
{%- endmacro %}

{#-
  At the end of a subquery: its columns are computed once for each row, and not again wherever an
  outer query names them. The planner would otherwise put their expressions in place of the names.
-#}
{% macro evaluated_once() -%}{{ adapter.dispatch("evaluated_once")() }}{%- endmacro %}
{% macro postgres__evaluated_once() -%}offset 0{%- endmacro %}
