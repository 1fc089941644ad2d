{#- Whether an order counts: it is a sale if it has items as well. -#}
{% macro is_not_cancelled(status) -%}
    coalesce({{ status }}, '') not in ('cancelled', 'canceled')
{%- endmacro %}
