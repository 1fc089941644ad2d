{#-
  Every value of the column, in the rows that meet `from_condition`, is a value of `field` in the
  rows of `to` that meet `to_condition`. NULL passes.

  Arguments
    to, field: the model and its column that must have the value
    from_condition, to_condition: conditions on the rows of either side (default: all)
    date_column, days: only the rows of the last `days` days of the data are tested, so that the
      test does not cost more each day
-#}
{% test relationships_where(
    model, column_name, to, field, from_condition="true", to_condition="true", date_column=none,
    days=30
) %}

select children.{{ column_name }}
from (
    select {{ column_name }} from {{ model }}
    where
        {{ column_name }} is not null
        and {{ from_condition }}
        {% if date_column %}and {{ date_column }} > {{ days_before_today(days) }}{% endif %}
) as children
where not exists (
    select 1
    from (select {{ field }} from {{ to }} where {{ to_condition }}) as parents
    where parents.{{ field }} = children.{{ column_name }}
)

{% endtest %}
