{#- The models by which a conversion is divided among the visits that led to it. -#}
{% macro attribution_models() -%}
    {{ return(["first_touch", "last_touch", "linear", "position_based", "time_decay"]) }}
{%- endmacro %}
