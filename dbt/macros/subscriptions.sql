{#-
  Whether a billing period brings revenue while it lasts. A source writes `canceled` when the last period is over, or when it is
  known that no other follows: until its last day the period was active or past due. Without a status it is active.
  Not among them: trialing, incomplete, incomplete_expired, unpaid, paused.
-#}
{% macro is_paying_status(status) -%}
    coalesce({{ status }}, 'active') in ('active', 'past_due', 'canceled', 'cancelled', 'ended', 'expired')
{%- endmacro %}

{#-
  When the first paid day of a period of fact_subscription_periods begins; NULL where none is paid. A period that is paid from its
  start begins at the time that the source gives; the day after a trial, like every day that a source states, at midnight in UTC.
-#}
{% macro paid_at(periods) -%}
    case
        when {{ periods }}.paid_from = {{ periods }}.period_start then {{ periods }}.started_at
        else {{ start_of_stated_day(periods ~ ".paid_from") }}
    end
{%- endmacro %}
