{#-
  Whether a billing period brings revenue while it lasts. A source writes `canceled` when the last period is over, or when it is
  known that no other follows: until its last day the period was active or past due. Without a status it is active.
  Not among them: trialing, incomplete, incomplete_expired, unpaid, paused.
-#}
{% macro is_paying_status(status) -%}
    coalesce({{ status }}, 'active') in ('active', 'past_due', 'canceled', 'cancelled', 'ended', 'expired')
{%- endmacro %}
