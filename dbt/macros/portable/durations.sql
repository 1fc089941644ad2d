{#- The hours from one point in time to a later one; NULL where either is missing or they come in the other order. -#}
{% macro hours_between(earlier, later) -%}{{ adapter.dispatch("hours_between")(earlier, later) }}{%- endmacro %}
{% macro postgres__hours_between(earlier, later) -%}
    cast(case when {{ later }} >= {{ earlier }} then extract(epoch from {{ later }} - {{ earlier }}) / 3600 end as numeric(18, 4))
{%- endmacro %}

{#- The last point in time of a day, to the microsecond. -#}
{% macro end_of_day(day) -%}{{ adapter.dispatch("end_of_day")(day) }}{%- endmacro %}
{% macro postgres__end_of_day(day) -%}
    (cast({{ plus_days(day, 1) }} as timestamp) at time zone '{{ var("reporting_timezone", "UTC") }}' - interval '1 microsecond')
{%- endmacro %}
