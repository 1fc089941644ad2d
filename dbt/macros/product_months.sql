{#- What models whose unit is (month_start, product_id) share. -#}

{#- Condition: a row of a touched product, from `months_before` months before the first touched month to the end of the last one. -#}
{% macro within_touched_products(day, months_before=0) -%}
    {{ when_touched(
        "product_id in (select product_id from touched)"
        ~ " and " ~ day ~ " >= (select " ~ plus_periods("month", "min(month_start)", -months_before) ~ " from touched)"
        ~ " and " ~ day ~ " < (select " ~ plus_periods("month", "max(month_start)", 1) ~ " from touched)"
    ) }}
{%- endmacro %}

{#- Days of the month that have begun by `today`: all of a month that is over, none of one that lies ahead. -#}
{% macro days_of_month_until(month_start, today) -%}
    case
        when {{ today }} < {{ month_start }} then 0
        else {{ days_from(month_start, "least(" ~ plus_days(today, 1) ~ ", " ~ plus_periods("month", month_start, 1) ~ ")") }}
    end
{%- endmacro %}
