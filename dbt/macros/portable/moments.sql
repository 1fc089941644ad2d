{#- Points in time beside days. -#}

{#-
  The day that a column of days holds, where staging read it as a point in time: a text without a time is midnight in UTC.
  A day of a contract is the same day in every reporting time zone, so day_of() is not for it.
-#}
{% macro stated_day(timestamp) -%}{{ adapter.dispatch("stated_day")(timestamp) }}{%- endmacro %}
{% macro postgres__stated_day(timestamp) -%}
    cast({{ timestamp }} at time zone 'UTC' as date)
{%- endmacro %}

{#- The point in time at which a day that a source states begins: the inverse of stated_day. -#}
{% macro start_of_stated_day(day) -%}{{ adapter.dispatch("start_of_stated_day")(day) }}{%- endmacro %}
{% macro postgres__start_of_stated_day(day) -%}
    (cast({{ day }} as timestamp) at time zone 'UTC')
{%- endmacro %}

{#- Hours are of the same length everywhere; a day is not where clocks are changed. -#}
{% macro plus_hours(timestamp, hours) -%}{{ adapter.dispatch("plus_hours")(timestamp, hours) }}{%- endmacro %}
{% macro postgres__plus_hours(timestamp, hours) -%}
    ({{ timestamp }} + interval '1 hour' * ({{ hours }}))
{%- endmacro %}

{#- Seconds between two points in time, as an exact decimal number; positive where `later` is later. -#}
{% macro seconds_between(earlier, later) -%}{{ adapter.dispatch("seconds_between")(earlier, later) }}{%- endmacro %}
{% macro postgres__seconds_between(earlier, later) -%}
    extract(epoch from {{ later }} - {{ earlier }})
{%- endmacro %}
