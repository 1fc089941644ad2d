{#-
  Reading raw text. Each macro returns NULL for what it cannot read, and never an error, so that
  stg_rejects can explain a bad value. The format of the text is checked before the type's own
  parser reads it: PostgreSQL's would also accept 'now' or 'infinity', whose meaning depends on the
  day of the run.
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

{#- The whole raw row as text, as a reject shows it. -#}
{% macro columns_original(columns) -%}
    {{ adapter.dispatch("columns_original")(columns) }}
{%- endmacro %}
{% macro postgres__columns_original(columns) -%}
    cast(jsonb_strip_nulls(jsonb_build_object(
        {%- for column in columns -%}
            '{{ column }}', {{ column }}{{ ", " if not loop.last }}
        {%- endfor -%}
    )) as text)
{%- endmacro %}

{#-
  A category as it was meant: in lower case, without surrounding space, and with Latin letters for
  Cyrillic ones that look the same and for wide forms. It is cut like a key, because it is indexed.
-#}
{% macro tidy(text) -%}{{ key_text(adapter.dispatch("tidy")(text)) }}{%- endmacro %}
{% macro postgres__tidy(text) -%}
    {#- Nearly every text is ASCII, which needs no folding. -#}
    case
        when octet_length({{ text }}) = length({{ text }}) then lower({{ text }})
        else nullif(btrim(lower(translate(
            normalize({{ text }}, nfkc), e'аеорсхуіАЕОРСХУІ\u200b', 'aeopcxyiAEOPCXYI'
        ))), '')
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
      The only letters allowed are T and Z: not 'now', and not the name of a time zone. Three times
      as fast as a regular expression.
    -#}
    case
        when
            {{ text }} like '____-__-__%'
            and ltrim({{ text }}, '0123456789-:.+TZ ') = ''
            and pg_input_is_valid({{ text }}, 'timestamptz')
            then cast({{ text }} as timestamptz)
    end
{%- endmacro %}

{#- ISO 8601 date, or the date of a timestamp as it is written. -#}
{% macro read_date(text) -%}{{ adapter.dispatch("read_date")(text) }}{%- endmacro %}
{% macro postgres__read_date(text) -%}
    case
        when
            {{ text }} ~ '^\d{4}-\d\d-\d\d([T ].*)?$'
            and pg_input_is_valid(left({{ text }}, 10), 'date')
            then cast(left({{ text }}, 10) as date)
    end
{%- endmacro %}

{#-
  A plain decimal number. One with more than ten digits before the point cannot be an amount, and
  could overflow what is computed from it.
-#}
{% macro read_decimal(text, precision=18, scale=4) -%}
    {{ adapter.dispatch("read_decimal")(text, precision, scale) }}
{%- endmacro %}
{% macro postgres__read_decimal(text, precision, scale) -%}
    cast(
        case when {{ text }} ~ '^[+-]?(\d{1,10}(\.\d*)?|\.\d+)$' then {{ text }} end
        as numeric({{ precision }}, {{ scale }})
    )
{%- endmacro %}

{#- A whole number; '6.0' is one. -#}
{% macro read_integer(text) -%}{{ adapter.dispatch("read_integer")(text) }}{%- endmacro %}
{% macro postgres__read_integer(text) -%}
    case
        when {{ text }} ~ '^[+-]?\d{1,9}(\.0*)?$'
            then cast(cast({{ text }} as numeric(18, 0)) as integer)
    end
{%- endmacro %}

{% macro read_boolean(text) -%}{{ adapter.dispatch("read_boolean")(text) }}{%- endmacro %}
{% macro postgres__read_boolean(text) -%}
    case
        when lower({{ text }}) in ('true', 't', 'yes', 'y', '1') then true
        when lower({{ text }}) in ('false', 'f', 'no', 'n', '0') then false
    end
{%- endmacro %}

{#- The landed day of the row, which names its raw partition. -#}
{% macro landed_on() -%}
    cast(left(_partition, 10) as date)
{%- endmacro %}

{#-
  At the end of a subquery: its columns are computed once for each row. Without it, the planner
  would replace their names in outer queries by their expressions, and compute each of these again.
-#}
{% macro evaluated_once() -%}{{ adapter.dispatch("evaluated_once")() }}{%- endmacro %}
{% macro postgres__evaluated_once() -%}offset 0{%- endmacro %}
