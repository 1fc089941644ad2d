{#- Points in time, next to days. -#}

{#-
  The day in a column of days that staging read as points in time: a text without a time is midnight
  in UTC. A day of a contract is the same day in every reporting time zone, so day_of() is not for
  it.
-#}
{% macro stated_day(timestamp) -%}
    {{ adapter.dispatch("day_in_zone")(timestamp, "UTC") }}
{%- endmacro %}

{#- The point in time at which a day that a source states begins: the inverse of stated_day. -#}
{% macro start_of_stated_day(day) -%}
    {{ adapter.dispatch("start_of_day_in_utc")(day) }}
{%- endmacro %}
{% macro postgres__start_of_day_in_utc(day) -%}
    (cast({{ day }} as timestamp) at time zone 'UTC')
{%- endmacro %}

{#-
  The point in time at which a day begins in the reporting time zone: day_of() of it is the day.
-#}
{% macro start_of_day(day) -%}
    {{ plus_seconds(end_of_day(plus_days(day, -1)), "0.000001") }}
{%- endmacro %}

{#- The last point in time of a day in the reporting time zone, to the microsecond. -#}
{% macro end_of_day(day) -%}
    {{ adapter.dispatch("end_of_day_in_zone")(day, var("reporting_timezone")) }}
{%- endmacro %}
{#-
  If a clock shows a time twice, PostgreSQL takes the later one. That is right for the end of a day.
  If clocks go back over midnight, the start of the next day would be an hour late.
-#}
{% macro postgres__end_of_day_in_zone(day, zone) -%}
    (
        (cast({{ plus_days(day, 1) }} as timestamp) - interval '1 microsecond')
        at time zone '{{ zone }}'
    )
{%- endmacro %}

{#-
  The point in time of an event whose time a source states. If the source states only a day, this is
  the end of that day in the reporting time zone. Everything else on that day then comes before it,
  and its day_of() is the day.
-#}
{% macro stated_moment(timestamp) -%}
    case
        when {{ timestamp }} = {{ start_of_stated_day(stated_day(timestamp)) }}
            then {{ end_of_day(stated_day(timestamp)) }}
        else {{ timestamp }}
    end
{%- endmacro %}

{#- A point in time, `seconds` later. -#}
{% macro plus_seconds(timestamp, seconds) -%}
    {{ adapter.dispatch("plus_seconds")(timestamp, seconds) }}
{%- endmacro %}
{% macro postgres__plus_seconds(timestamp, seconds) -%}
    ({{ timestamp }} + interval '1 second' * ({{ seconds }}))
{%- endmacro %}

{#- An hour always has the same length; a day on which clocks change does not. -#}
{% macro plus_hours(timestamp, hours) -%}
    {{ plus_seconds(timestamp, "3600 * (" ~ hours ~ ")") }}
{%- endmacro %}

{#- Seconds between two points in time, to the microsecond; positive if `later` is later. -#}
{% macro seconds_between(earlier, later) -%}
    {{ adapter.dispatch("seconds_between")(earlier, later) }}
{%- endmacro %}
{% macro postgres__seconds_between(earlier, later) -%}
    cast(extract(epoch from {{ later }} - {{ earlier }}) as numeric(18, 6))
{%- endmacro %}

{#-
  The hours from one point in time to a later one; NULL if either is missing or they are in the
  wrong order.
-#}
{% macro hours_between(earlier, later) -%}
    cast(
        case when {{ later }} >= {{ earlier }} then {{ seconds_between(earlier, later) }} / 3600 end
        as numeric(18, 4)
    )
{%- endmacro %}
