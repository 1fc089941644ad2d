{#- Conditions for models that are rebuilt by days, weeks or months. -#}

{#-
  For a model with (grain, period_start) in its rebuild key: `day` lies between the first and the
  last affected period, or in the `earlier` periods before them. The condition can use an index on
  `day`, so older rows are not read.
-#}
{% macro within_affected_periods(grain, day, earlier=0) -%}
    {%- set first = plus_periods(grain, "min(period_start)", -earlier) -%}
    {%- set end = plus_periods(grain, "max(period_start)", 1) -%}
    {{ exact.when_affected(
        day ~ " >= (select " ~ first ~ " from affected where grain = '" ~ grain ~ "') and "
        ~ day ~ " < (select " ~ end ~ " from affected where grain = '" ~ grain ~ "')"
    ) }}
{%- endmacro %}

{#-
  For a model that is rebuilt by weeks or months (`week_start` or `month_start` in its rebuild key):
  `day` lies in an affected week or month, or in one of the `earlier` ones before it. The limits
  come first, for the index on `day`.
-#}
{% macro within_affected(grain, day, earlier=0) -%}
    {%- set start, periods = grain ~ "_start", [] -%}
    {%- for back in range(earlier + 1) -%}
        {%- do periods.append("select " ~ plus_periods(grain, start, -back) ~ " from affected") -%}
    {%- endfor -%}
    {%- set first = plus_periods(grain, "min(" ~ start ~ ")", -earlier) -%}
    {%- set end = plus_periods(grain, "max(" ~ start ~ ")", 1) -%}
    {{ exact.when_affected(
        day ~ " >= (select " ~ first ~ " from affected) and "
        ~ day ~ " < (select " ~ end ~ " from affected) and "
        ~ period_of(grain, day) ~ " in (" ~ periods | join(" union all ") ~ ")"
    ) }}
{%- endmacro %}

{#-
  For a rebuild key with a column `grain`: `day` is not before the first affected `column` of its
  grain.
-#}
{% macro not_before_affected(column, day, grains) -%}
    {%- set conditions = [] -%}
    {%- for grain in grains -%}
        {%- do conditions.append(
            "grain = '" ~ grain ~ "' and " ~ day
            ~ " >= (select min(" ~ column ~ ") from affected where grain = '" ~ grain ~ "')"
        ) -%}
    {%- endfor -%}
    {{ exact.when_affected(conditions | join(" or ")) }}
{%- endmacro %}
