{#-
  Rules that hold in every row, and the key of the rows. All rules of a model are one test, because
  each test costs dbt 20 ms, whatever it checks. It returns each row that breaks a rule, once for
  each rule, with the rule as `_rule`. A rule that the table itself breaks (enforced_key) is shown
  without a row. NULL passes every rule but `not_null`. In a key it counts as a value.

  Arguments. Names and texts are given as sets, {a, b}: dbt renders each text of a list, which takes
  milliseconds, and does not render the keys of a mapping.
    key: columns of which no two rows have the same values
    enforced_key: the same, for a table with a unique index on these columns, none of which may be
      NULL. The database enforces this key, so the test queries the catalogue and reads no row: it
      costs the same after ten years as after ten days
    not_null: columns that are never NULL
    at_least: {column: its minimum}
    between: {column: [its minimum, its maximum]}
    one_of: {column: the texts that it may have}
    satisfies: {name of a rule: a condition on columns of the row}, such as row arithmetic,
      `net = gross - discounts`
-#}
{% test every_row(
    model, key={}, enforced_key={}, not_null={}, at_least={}, between={}, one_of={}, satisfies={}
) %}
{%- set broken = {} -%}
{%- for column in not_null -%}
    {%- do broken.update({column ~ " is not null": column ~ " is null"}) -%}
{%- endfor -%}
{%- for column, least in at_least.items() -%}
    {%- set rule = column ~ " >= " ~ least -%}
    {%- do broken.update({rule: "not (" ~ rule ~ ")"}) -%}
{%- endfor -%}
{%- for column, (least, greatest) in between.items() -%}
    {%- set rule = column ~ " between " ~ least ~ " and " ~ greatest -%}
    {%- do broken.update({rule: "not (" ~ rule ~ ")"}) -%}
{%- endfor -%}
{%- for column, values in one_of.items() -%}
    {%- set texts = [] -%}
    {%- for value in values -%}
        {%- do texts.append("'" ~ (value | string | replace("'", "''")) ~ "'") -%}
    {%- endfor -%}
    {%- set rule = column ~ " is one of " ~ values | join(", ") -%}
    {%- do broken.update({rule: column ~ " not in (" ~ texts | join(", ") ~ ")"}) -%}
{%- endfor -%}
{%- for rule, condition in satisfies.items() -%}
    {%- do broken.update({rule: "not (" ~ condition ~ ")"}) -%}
{%- endfor -%}
{%- if not (broken or key or enforced_key) -%}
    {{ exceptions.raise_compiler_error("every_row of " ~ model ~ " names no rule.") }}
{%- endif -%}

{%- set findings = [] -%}
{%- for rule, condition in broken.items() -%}
    {%- do findings.append(
        "select '" ~ rule | replace("'", "''")
        ~ "' as _rule, suspects.* from suspects where " ~ condition
    ) -%}
{%- endfor -%}
{%- if key -%}{%- do findings.append(rows_with_the_same(key, model)) -%}{%- endif -%}
{%- if enforced_key -%}
    {%- do findings.append(what_is_not_enforced(enforced_key, model)) -%}
{%- endif -%}

{%- if broken %}
with suspects as (
    select *
    from {{ model }}
    where
        {% for condition in broken.values() -%}
        ({{ condition }}){{ " or" if not loop.last }}
        {% endfor %}
)
{% endif %}
{{ findings | join("\nunion all\n") }}

{% endtest %}
