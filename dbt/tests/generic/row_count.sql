{#-
  The model has exactly `rows` rows.
-#}
{% test row_count(model, rows) %}

select count(*) as counted_rows
from {{ model }}
having count(*) <> {{ rows }}

{% endtest %}
