{#-
  Days and periods. A period is named by its grain (day, week, month, quarter) and its first day;
  weeks are ISO weeks.
-#}

{#- The day of a point in time in the reporting time zone (variable reporting_timezone). -#}
{% macro day_of(timestamp) -%}
    {{ adapter.dispatch("day_in_zone")(timestamp, var("reporting_timezone")) }}
{%- endmacro %}

{#-
  The day of a point in time in UTC, which landed days follow in every reporting time zone.
-#}
{% macro landing_day_of(timestamp) -%}
    {{ adapter.dispatch("day_in_zone")(timestamp, "UTC") }}
{%- endmacro %}
{% macro postgres__day_in_zone(timestamp, zone) -%}
    cast({{ timestamp }} at time zone '{{ zone }}' as date)
{%- endmacro %}

{% macro plus_days(day, days) -%}{{ adapter.dispatch("plus_days")(day, days) }}{%- endmacro %}
{% macro postgres__plus_days(day, days) -%}
    ({{ day }} + ({{ days }}))
{%- endmacro %}

{#- The number of days from `first` to `last`. -#}
{% macro days_from(first, last) -%}{{ adapter.dispatch("days_from")(first, last) }}{%- endmacro %}
{% macro postgres__days_from(first, last) -%}
    ({{ last }} - {{ first }})
{%- endmacro %}

{#- The first day of the period that contains `day`. -#}
{% macro period_of(grain, day) -%}{{ adapter.dispatch("period_of")(grain, day) }}{%- endmacro %}
{% macro postgres__period_of(grain, day) -%}
    {%- if grain == "day" -%}
        {{ day }}
    {%- else -%}
        cast(date_trunc('{{ grain }}', cast({{ day }} as timestamp)) as date)
    {%- endif -%}
{%- endmacro %}

{#-
  The first day of the period that is `periods` after the one that begins on `period_start`.
-#}
{% macro plus_periods(grain, period_start, periods) -%}
    {{ adapter.dispatch("plus_periods")(grain, period_start, periods) }}
{%- endmacro %}
{% macro postgres__plus_periods(grain, period_start, periods) -%}
    {%- if grain == "day" -%}
        ({{ period_start }} + ({{ periods }}))
    {%- elif grain == "quarter" -%}
        cast({{ period_start }} + interval '3 months' * ({{ periods }}) as date)
    {%- else -%}
        cast({{ period_start }} + interval '1 {{ grain }}' * ({{ periods }}) as date)
    {%- endif -%}
{%- endmacro %}

{#-
  One row (date_day) for each day from `first` to `last`, both included; none if either is NULL.
-#}
{% macro days_between(first, last) -%}
    {{ adapter.dispatch("days_between")(first, last) }}
{%- endmacro %}
{% macro postgres__days_between(first, last) -%}
    select cast(series as date) as date_day
    from generate_series(
        cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 day'
    ) as series
{%- endmacro %}

{% macro year_of(day) -%}{{ adapter.dispatch("year_of")(day) }}{%- endmacro %}
{% macro postgres__year_of(day) -%}
    cast(extract(year from {{ day }}) as integer)
{%- endmacro %}

{% macro month_of(day) -%}{{ adapter.dispatch("month_of")(day) }}{%- endmacro %}
{% macro postgres__month_of(day) -%}
    cast(extract(month from {{ day }}) as integer)
{%- endmacro %}

{#- Day of the ISO week: Monday is 1, Sunday 7. -#}
{% macro iso_weekday(day) -%}{{ adapter.dispatch("iso_weekday")(day) }}{%- endmacro %}
{% macro postgres__iso_weekday(day) -%}
    cast(extract(isodow from {{ day }}) as integer)
{%- endmacro %}

{#- One row (number) for each whole number from `first` to `last`, both included. -#}
{% macro whole_numbers(first, last) -%}
    {{ adapter.dispatch("whole_numbers")(first, last) }}
{%- endmacro %}
{% macro postgres__whole_numbers(first, last) -%}
    select cast(series as integer) as number
    from generate_series({{ first }}, {{ last }}) as series
{%- endmacro %}
