{#-
  Amounts of money in the reporting currency. Four decimals are kept: real files have unit prices in
  tenths of a cent.
-#}

{#- An amount converted by a rate of int_exchange_rates; NULL if there is no rate. -#}
{% macro in_reporting_currency(amount, rate) -%}
    cast(round({{ amount }} * {{ rate }}, 4) as numeric(38, 4))
{%- endmacro %}

{#- The currency of an amount: the reporting currency if the source names none. -#}
{% macro own_or_reporting_currency(currency) -%}
    coalesce({{ currency }}, '{{ var("reporting_currency") }}')
{%- endmacro %}

{#-
  The share of a row in `total`, in proportion to its `weight` among the rows of `partition_by`. The
  running total is rounded, and not each share, so the shares always sum to the total. The weights
  are positive, and `order_by` identifies a row.
-#}
{% macro share_of(total, weight, partition_by, order_by) -%}
    {%- set running = "sum(" ~ weight ~ ") over (partition by " ~ partition_by
        ~ " order by " ~ order_by ~ " rows unbounded preceding)" -%}
    {%- set whole = "sum(" ~ weight ~ ") over (partition by " ~ partition_by ~ ")" -%}
    cast(
        round({{ total }} * {{ running }} / {{ whole }}, 4)
        - round({{ total }} * ({{ running }} - {{ weight }}) / {{ whole }}, 4)
        as numeric(38, 4)
    )
{%- endmacro %}
