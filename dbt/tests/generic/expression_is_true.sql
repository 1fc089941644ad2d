{#-
  `expression` holds in every row: row arithmetic, such as `net = gross - discounts`. A row in which it is NULL passes, so
  that a ratio without a denominator does; not_null is a test of its own.

  Arguments
    expression: a condition on columns of the row
-#}
{% test expression_is_true(model, expression) %}

select *
from {{ model }}
where not ({{ expression }})

{% endtest %}
