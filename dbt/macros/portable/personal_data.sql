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

{#- The kinds of personal data in a JSON value, comma between them; NULL where there are none. -#}
{% macro personal_data_in(json) -%}{{ adapter.dispatch("personal_data_in")(json) }}{%- endmacro %}
{% macro postgres__personal_data_in(json) -%}
    {#- Nearly every row has none, so one search for all kinds comes first. -#}
    case when cast({{ json }} as text) ~ '{{ personal_data_patterns().values() | join("|") }}' then concat_ws(','
        {%- for kind, pattern in personal_data_patterns().items() -%}
            , case when cast({{ json }} as text) ~ '{{ pattern }}' then '{{ kind }}' end
        {%- endfor -%}
    ) end
{%- endmacro %}

{#- The JSON value with [email], [phone] and [card] in the place of personal data. -#}
{% macro without_personal_data(json) -%}{{ adapter.dispatch("without_personal_data")(json) }}{%- endmacro %}
{% macro postgres__without_personal_data(json) -%}
    {%- set ns = namespace(text="cast(" ~ json ~ " as text)") -%}
    {%- for kind, pattern in personal_data_patterns().items() -%}
        {%- set ns.text = "regexp_replace(" ~ ns.text ~ ", '" ~ pattern ~ "', '[" ~ kind ~ "]', 'g')" -%}
    {%- endfor -%}
    cast({{ ns.text }} as jsonb)
{%- endmacro %}
