{#-
  What a model says about its own increments. docs/explanation/exactness.md explains the mechanism.

  Every macro here renders to a comment beside a condition that is always true, so that the compiled model is its full
  definition and nothing else: it can be read, run and compared as it is. The materializations `exact` and `landed`
  put the conditions in when they build an increment.
-#}

{#- Condition: the row belongs to a unit that is rebuilt. `columns` stand for the model's `unit`, in its order. -#}
{% macro affected() -%}
    {%- set unit = config.get('rebuild_key') or varargs -%}
    {%- if unit | length != varargs | length -%}
        {{ exceptions.raise_compiler_error("affected(" ~ varargs | join(", ") ~ ") names " ~ varargs | length ~ " columns, but the unit of "
            ~ model.name ~ " has " ~ unit | length ~ ": " ~ unit | join(", ")) }}
    {%- endif -%}
    (true /*affected {{ varargs | join("|") }}*/)
{%- endmacro %}

{#- Condition that may name the table `affected` (one row for each unit that is rebuilt): for reads that reach beyond the unit. -#}
{% macro when_affected(condition) -%}
    (true /*when_affected {{ condition }}*/)
{%- endmacro %}

{#-
  Condition for a model whose unit has (grain, period_start): `day` lies between the first and the last affected period, or in
  the `earlier` periods before them. An index on `day` serves it, so the history before them is not read.
-#}
{% macro within_affected_periods(grain, day, earlier=0) -%}
    {{ when_affected(
        day ~ " >= (select " ~ plus_periods(grain, "min(period_start)", -earlier) ~ " from affected where grain = '" ~ grain ~ "') and "
        ~ day ~ " < (select " ~ plus_periods(grain, "max(period_start)", 1) ~ " from affected where grain = '" ~ grain ~ "')"
    ) }}
{%- endmacro %}

{#-
  Condition for a model that is rebuilt by weeks or months (unit column `week_start` or `month_start`): `day` lies in a affected
  one, or in one of the `earlier` ones before it. The limits come first, for the index on `day`.
-#}
{% macro within_affected(grain, day, earlier=0) -%}
    {%- set start, periods = grain ~ "_start", [] -%}
    {%- for back in range(earlier + 1) -%}
        {%- do periods.append("select " ~ plus_periods(grain, start, -back) ~ " from affected") -%}
    {%- endfor -%}
    {{ when_affected(
        day ~ " >= (select " ~ plus_periods(grain, "min(" ~ start ~ ")", -earlier) ~ " from affected) and "
        ~ day ~ " < (select " ~ plus_periods(grain, "max(" ~ start ~ ")", 1) ~ " from affected) and "
        ~ period_of(grain, day) ~ " in (" ~ periods | join(" union all ") ~ ")"
    ) }}
{%- endmacro %}

{#- Condition for a model whose unit has a column `grain`: `day` is not before the first affected `column` of its grain. -#}
{% macro not_before_affected(column, day, grains) -%}
    {%- set conditions = [] -%}
    {%- for grain in grains -%}
        {%- do conditions.append("grain = '" ~ grain ~ "' and " ~ day ~ " >= (select min(" ~ column ~ ") from affected where grain = '" ~ grain ~ "')") -%}
    {%- endfor -%}
    {{ when_affected(conditions | join(" or ")) }}
{%- endmacro %}

{#- Condition for a `landed` model: the row came with a load that is new. -#}
{% macro newly_landed() -%}
    (true /*newly_landed*/)
{%- endmacro %}

{#- The units that a change upstream touches: {% call affected_when() %} select <unit> from {{ changes('upstream') }} {% endcall %} -#}
{% macro affected_when() -%}
    /*affected_when {{ caller() | trim }}*/
{%- endmacro %}

{#- The plain case of affected_when: the change feed of `upstream` has the unit's columns, under the names `columns`. -#}
{% macro affected_by(upstream, columns) -%}
    /*affected_when select {{ columns | join(", ") }} from {{ changes(upstream) }}*/
{%- endmacro %}

{#- The change feed of an upstream model, as far as this model has not consumed it yet. -#}
{% macro changes(upstream) -%}
    changes_of({{ upstream }})
{%- endmacro %}

{#-
  Condition, in a affected_when that joins changes by their days: `day` is not before the first of these and not after the last. That
  goes without saying; but an index on `day` serves it, so that a new rate does not read all that was ever paid. `first` and `last`
  are days: a day is before the moment at which a version of it begins.
-#}
{% macro within_changed(
    upstream, day, first="changes.valid_from", last="coalesce(changes.valid_to, cast('9999-12-31' as date))"
) -%}
    {{ day }} >= (select min({{ first }}) from {{ changes(upstream) }})
    and {{ day }} <= (select max({{ last }}) from {{ changes(upstream) }})
{%- endmacro %}
