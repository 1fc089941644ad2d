{#-
  Condition for a model that is rebuilt by months (unit column `month_start`): `day` lies in a touched month, or in one of the
  `earlier` months before it. The limits come first, for the index on `day`.
-#}
{% macro within_touched_months(day, earlier=0) -%}
    {%- set months = [] -%}
    {%- for back in range(earlier + 1) -%}
        {%- do months.append("select " ~ plus_periods("month", "month_start", -back) ~ " from touched") -%}
    {%- endfor -%}
    {{ when_touched(
        day ~ " >= (select " ~ plus_periods("month", "min(month_start)", -earlier) ~ " from touched) and "
        ~ day ~ " < (select " ~ plus_periods("month", "max(month_start)", 1) ~ " from touched) and "
        ~ period_of("month", day) ~ " in (" ~ months | join(" union all ") ~ ")"
    ) }}
{%- endmacro %}
