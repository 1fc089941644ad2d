{#-
  The values of a column lie between two limits; NULL passes.

  Arguments
    min_value, max_value: numbers or SQL expressions; at least one of them
    inclusive: whether the limits themselves are accepted (default: true)
-#}
{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{%- if min_value is none and max_value is none -%}
    {{ exceptions.raise_compiler_error("accepted_range on " ~ column_name ~ " of " ~ model ~ " needs min_value or max_value.") }}
{%- endif -%}
{%- set below, above = ("<", ">") if inclusive else ("<=", ">=") %}

select *
from {{ model }}
where
    false
    {% if min_value is not none %}or {{ column_name }} {{ below }} {{ min_value }}{% endif %}
    {% if max_value is not none %}or {{ column_name }} {{ above }} {{ max_value }}{% endif %}

{% endtest %}
