{#-
  No two rows have the same values in `columns`; NULL counts as a value. Shows each combination that comes more than once.

  Arguments
    columns: the columns that together name a row
-#}
{% test unique_combination(model, columns) %}

select
    {{ columns | join(",\n    ") }},
    count(*) as times
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1

{% endtest %}
