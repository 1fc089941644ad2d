{#-
  A subquery of every text that names a country, in lower case (`name`), and its `code`: the names
  and codes of seeds/countries.csv and the aliases of seeds/country_aliases.csv, which take
  precedence. Compare it with a text that tidy() returns.
-#}
{% macro country_names() -%}
    (
        select
            alias as name,
            code
        from {{ ref("country_aliases") }}
        union all
        select
            official.name,
            official.code
        from (
            select
                lower(name) as name,
                code
            from {{ ref("countries") }}
            union all
            select
                lower(code) as name,
                code
            from {{ ref("countries") }}
        ) as official
        left join {{ ref("country_aliases") }} as aliases on official.name = aliases.alias
        where aliases.alias is null
    )
{%- endmacro %}
