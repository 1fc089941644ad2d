{#-
  Personal data that people typed where none belongs: what it looks like, by kind. Digits that stand alone in JSON are numbers
  and no card, whatever their count; in a text they are one.
-#}
{% macro personal_data_patterns() -%}
    {{ return({
        "email": "[[:alnum:]._%+-]+@[[:alnum:]-]+(\\.[[:alnum:]-]+)+",
        "phone": "\\+\\d[\\d ().-]{6,18}\\d",
        "card": "(?<![[:alnum:]])[3-6]\\d{3}(([ -]\\d{4}){3}|[ -]\\d{6}[ -]\\d{5}|\\d{9,15}(?![[:alnum:]]|, [\"\\[{\\d-]|[}\\]]))(?![[:alnum:]])",
    }) }}
{%- endmacro %}

{#- The kinds of personal data in the text of a JSON value, comma between them; NULL where there are none. -#}
{% macro personal_data_in(text) -%}{{ adapter.dispatch("personal_data_in")(text) }}{%- endmacro %}
{% macro postgres__personal_data_in(text) -%}
    {%- set patterns = personal_data_patterns() -%}
    {#- Nearly no row has any, so what is cheap to look for comes first. -#}
    case
        when {{ text }} like '%@%' or {{ text }} like '%+%' or {{ text }} ~ '{{ patterns["card"] }}'
            then nullif(concat_ws(','
                {%- for kind, pattern in patterns.items() -%}
                    , case when {{ text }} ~ '{{ pattern }}' then '{{ kind }}' end
                {%- endfor -%}
            ), '')
    end
{%- endmacro %}

{#- The JSON value of a text with [email], [phone] and [card] in the place of personal data. -#}
{% macro without_personal_data(text) -%}{{ adapter.dispatch("without_personal_data")(text) }}{%- endmacro %}
{% macro postgres__without_personal_data(text) -%}
    {%- set ns = namespace(masked=text) -%}
    {%- for kind, pattern in personal_data_patterns().items() -%}
        {%- set ns.masked = "regexp_replace(" ~ ns.masked ~ ", '" ~ pattern ~ "', '[" ~ kind ~ "]', 'g')" -%}
    {%- endfor -%}
    cast({{ ns.masked }} as jsonb)
{%- endmacro %}
