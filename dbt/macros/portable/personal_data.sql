{#-
  Patterns of personal data that people typed where none belongs, by kind. They are applied to the
  strings of a JSON value only, so a number is never taken for a card, whatever its digits.

  Cards: four groups of four digits, Amex as 4-6-5, or 13 to 19 digits in one piece. Phones: with +
  and the country code, or like (415) 555-0132 and 415-555-0132, with dots or spaces instead of
  hyphens. Digits alone do not match: they are an identifier far more often.
-#}
{% macro personal_data_patterns() -%}
    {%- set north_american = "[2-9]\\d\\d[ .-]\\d{4}(?!-?\\d)" -%}
    {{ return({
        "email": "[[:alnum:]._%+-]+@[[:alnum:]-]+(\\.[[:alnum:]-]+)+",
        "phone": "\\+\\d[\\d ().-]{6,18}\\d|\\([2-9]\\d\\d\\)[ .-]?" ~ north_american
            ~ "|(?<![[:alnum:]]|[[:alnum:]]-)(1[ .-])?[2-9]\\d\\d[ .-]" ~ north_american,
        "card": "(?<![[:alnum:]])([3-6]\\d{3}(([ .-]?\\d{4}){3}|[ .-]\\d{6}[ .-]\\d{5}|\\d{9,15})"
            ~ "|2(22[1-9]|2[3-9]\\d|[3-6]\\d\\d|7[01]\\d|720)([ .-]?\\d{4}){3})(?![[:alnum:]])",
    }) }}
{%- endmacro %}

{#-
  Whether the text of a JSON value may hold personal data. It finds everything that the patterns
  find, and a little more. Hardly any row holds some, so this check reads the text of each row once,
  and the strings of only a few rows are read. The patterns have lookarounds, which take PostgreSQL
  longer than all the rest.
-#}
{% macro postgres__may_have_personal_data(text) -%}
    ({{ text }} like '%@%' or {{ text }} like '%+%'
        or {{ text }} ~ '[2-6]\d{3}[ .-]?\d{4,6}[ .-]?\d{4,5}|\d{3}[ .)-]{1,2}\d{3}[ .-]\d{4}')
{%- endmacro %}

{#-
  The kinds of personal data in the text of a JSON value, separated by commas; NULL if there are
  none.
-#}
{% macro personal_data_in(text) -%}{{ adapter.dispatch("personal_data_in")(text) }}{%- endmacro %}
{% macro postgres__personal_data_in(text) -%}
    case when {{ postgres__may_have_personal_data(text) }} then (
        select nullif(concat_ws(','
            {%- for kind, pattern in personal_data_patterns().items() -%}
                , case
                    when bool_or(cast(part[1] as jsonb) #>> '{}' ~ '{{ pattern }}')
                        then '{{ kind }}'
                end
            {%- endfor -%}
        ), '')
        from regexp_matches({{ text }}, '"(?:[^"\\]|\\.)*"', 'g') as strings (part)
    ) end
{%- endmacro %}

{#- The JSON value of a text with [email], [phone] and [card] in the place of personal data. -#}
{% macro without_personal_data(text) -%}
    {{ adapter.dispatch("without_personal_data")(text) }}
{%- endmacro %}
{% macro postgres__without_personal_data(text) -%}
    {#-
      A string is decoded before it is masked: in \n4111 1111 1111 1111 the n is part of an escaped
      line break, and not a letter before the number.
    -#}
    {%- set ns = namespace(masked="cast(part[1] as jsonb) #>> '{}'") -%}
    {%- for kind, pattern in personal_data_patterns().items() -%}
        {%- set replaced = ", '" ~ pattern ~ "', '[" ~ kind ~ "]', 'g')" -%}
        {%- set ns.masked = "regexp_replace(" ~ ns.masked ~ replaced -%}
    {%- endfor -%}
    (
        select cast(string_agg(
            case
                when part[1] like '"%' then cast(to_jsonb({{ ns.masked }}) as text)
                else part[1]
            end,
            '' order by place
        ) as jsonb)
        from regexp_matches({{ text }}, '"(?:[^"\\]|\\.)*"|[^"]+', 'g')
            with ordinality as parts (part, place)
    )
{%- endmacro %}

{#-
  Whether a string or a name in a JSON or text column matches a regular expression: for the test
  that masking missed nothing. PostgreSQL's JSON path searches the document, but not its numbers.
-#}
{% macro has_string_like(column, expression) -%}
    {{ adapter.dispatch("has_string_like")(column, expression) }}
{%- endmacro %}
{% macro postgres__has_string_like(column, expression) -%}
    {%- set matches = '(@ like_regex "' ~ expression ~ '" flag "i")' -%}
    (to_jsonb({{ column }}) @? '$.** ? {{ matches }}'
        or to_jsonb({{ column }}) @? '$.** ? (@.type() == "object").keyvalue().key ? {{ matches }}')
{%- endmacro %}

{#-
  Whether the text of a column has an @, or eight digits with at most two of the separators of phone
  and card numbers between them.
-#}
{% macro has_at_or_eight_digits(column) -%}
    {{ adapter.dispatch("has_at_or_eight_digits")(column) }}
{%- endmacro %}
{% macro postgres__has_at_or_eight_digits(column) -%}
    (cast({{ column }} as text) like '%@%'
        or cast({{ column }} as text) ~ '([0-9][ .()-]{0,2}){8}')
{%- endmacro %}
