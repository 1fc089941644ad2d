{#- The English name of a country of ISO 3166-1; NULL where the code is none. -#}
{% macro country_name(code) -%}{{ adapter.dispatch("country_name")(code) }}{%- endmacro %}
{% macro postgres__country_name(code) -%}
    (cast('{{ tojson(countries(), sort_keys=true) | replace("'", "''") }}' as jsonb) ->> {{ code }})
{%- endmacro %}
