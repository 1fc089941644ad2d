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
  When a period of fact_subscription_periods is first paid; NULL where no day of it is. One that is paid from its start is so when it
  begins; the day after a trial is a day without a time, as in stated_moment().
-#}
{% macro paid_at(periods) -%}
    case
        when {{ periods }}.paid_from = {{ periods }}.period_start then {{ periods }}.started_at
        else {{ end_of_day(periods ~ ".paid_from") }}
    end
{%- endmacro %}
