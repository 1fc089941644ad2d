{#- The day that lies `days` days before "today", as a subquery, for tests of the newest rows. -#}
{% macro days_before_today(days) -%}
    (select {{ plus_days("today.as_of", -days) }} from {{ ref("as_of") }} as today)
{%- endmacro %}
