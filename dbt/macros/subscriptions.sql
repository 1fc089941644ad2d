{#-
  The point in time at which a period of fact_subscription_periods is first paid; NULL if no day of
  it is. For a period that is paid from its start, this is its start. The day after a trial is a day
  without a time, as in stated_moment().
-#}
{% macro paid_at(periods) -%}
    case
        when {{ periods }}.paid_from = {{ periods }}.period_start then {{ periods }}.started_at
        else {{ end_of_day(periods ~ ".paid_from") }}
    end
{%- endmacro %}
