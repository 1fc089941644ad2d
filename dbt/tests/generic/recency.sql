{#-
  The newest day in the column is at most `days` days before "today" (model as_of), so the model has
  not stopped growing. The test does not read the clock: source freshness reports it if nothing has
  landed.

  Arguments
    days: how many days old the newest row may be
-#}
{% test recency(model, column_name, days) %}

select newest.newest_day
from (select max({{ column_name }}) as newest_day from {{ model }}) as newest
where newest.newest_day <= {{ days_before_today(days + 1) }}

{% endtest %}
