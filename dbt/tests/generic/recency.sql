{#-
  The newest day in the column is at most `days` days before "today" (model as_of), so the model has not stopped growing. It never
  asks the clock: that nothing has landed is what source freshness tells.

  Arguments
    days: how many days the newest row may lie back
-#}
{% test recency(model, column_name, days) %}

select newest.newest_day
from (select max({{ column_name }}) as newest_day from {{ model }}) as newest
where newest.newest_day <= {{ days_before_today(days + 1) }}

{% endtest %}
