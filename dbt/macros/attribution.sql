{#- The models by which a conversion is divided among the visits that led to it. -#}
{% macro attribution_models() -%}
    {{ return(["first_touch", "last_touch", "linear", "position_based", "time_decay"]) }}
{%- endmacro %}

{#- The part of one conversion that falls to a row, to eight decimals, by the rounding of share_of: the parts sum to exactly 1. -#}
{% macro conversion_share_of(weight, partition_by, order_by) -%}
    cast({{ share_of('cast(10000 as numeric(38, 4))', weight, partition_by, order_by) }} / 10000 as numeric(38, 8))
{%- endmacro %}
