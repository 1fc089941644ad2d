{#- The statuses that say that a subscription is over: it pays until then, and nothing from then on. -#}
{% macro ended_statuses() -%}
    {{ return(["canceled", "cancelled", "ended", "expired"]) }}
{%- endmacro %}

{#- Whether the source says that the subscription of a period has ended: what runs on until it is cancelled is still active. -#}
{% macro has_ended(status) -%}
    coalesce({{ status }}, 'active') in ({{ quoted(ended_statuses()) }})
{%- endmacro %}

{#-
  Whether a billing period brings revenue while it lasts. One that has ended does too: until its last day it was active or past
  due. Without a status it is active. Not among them: trialing, incomplete, incomplete_expired, unpaid, paused.
-#}
{% macro is_paying_status(status) -%}
    coalesce({{ status }}, 'active') in ({{ quoted(["active", "past_due"] + ended_statuses()) }})
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
