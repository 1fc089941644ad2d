{#-
  Rules that hold in every row. All rules of a model are one test, because each test costs dbt 20 ms, whatever it asks. Shows each
  row that breaks a rule, with the rule as `_rule`: once for each rule that it breaks. NULL passes every rule but `not_null`.

  Arguments
    not_null: columns that are never NULL
    at_least: {column: its least value}
    between: {column: [its least value, its greatest value]}
    one_of: {column: the texts that it may have}
    satisfies: {name of a rule: a condition on columns of the row}, such as row arithmetic, `net = gross - discounts`
-#}
{% test every_row(model, not_null=[], at_least={}, between={}, one_of={}, satisfies={}) %}
{%- set broken = {} -%}
{%- for column in not_null -%}{%- do broken.update({column ~ " is not null": column ~ " is null"}) -%}{%- endfor -%}
{%- for column, least in at_least.items() -%}
    {%- set rule = column ~ " >= " ~ least -%}{%- do broken.update({rule: "not (" ~ rule ~ ")"}) -%}
{%- endfor -%}
{%- for column, (least, greatest) in between.items() -%}
    {%- set rule = column ~ " between " ~ least ~ " and " ~ greatest -%}{%- do broken.update({rule: "not (" ~ rule ~ ")"}) -%}
{%- endfor -%}
{%- for column, values in one_of.items() -%}
    {%- set texts = [] -%}
    {%- for value in values -%}{%- do texts.append("'" ~ (value | string | replace("'", "''")) ~ "'") -%}{%- endfor -%}
    {%- do broken.update({column ~ " is one of " ~ values | join(", "): column ~ " not in (" ~ texts | join(", ") ~ ")"}) -%}
{%- endfor -%}
{%- for rule, condition in satisfies.items() -%}{%- do broken.update({rule: "not (" ~ condition ~ ")"}) -%}{%- endfor -%}
{%- if not broken -%}{{ exceptions.raise_compiler_error("every_row of " ~ model ~ " names no rule.") }}{%- endif %}

with suspects as (
    select *
    from {{ model }}
    where
        {% for condition in broken.values() -%}
        ({{ condition }}){{ " or" if not loop.last }}
        {% endfor %}
)

{% for rule, condition in broken.items() -%}
select
    '{{ rule | replace("'", "''") }}' as _rule,
    suspects.*
from suspects
where {{ condition }}
{{ "union all" if not loop.last }}
{% endfor %}

{% endtest %}
