{#-
  Two models have the same totals, to the last digit: the sums of `columns` by `by` equal those of
  `other_columns` of `other` by `other_by`. A group that only one side has must have totals of zero.
  The test returns the groups that differ.

  Arguments
    other: the model to compare with
    columns, other_columns: sums to compare, in the same order (default: the same names)
    by, other_by: columns or expressions that define the groups (default: one group of all rows; the
      same names)
    where, other_where: conditions on the rows of either side
-#}
{% test same_totals(
    model, other, columns, other_columns=none, by=none, other_by=none, where="true",
    other_where="true"
) %}
{%- set groups = by or ["1"] -%}
{%- set other_groups = other_by or groups -%}

select
    {% for group in groups %}totals.group_{{ loop.index }}, {% endfor %}
    {% for column in columns -%}
    sum(totals.total_{{ loop.index }}) as {{ column }}_too_much{{ "," if not loop.last }}
    {% endfor %}
from (
    select
        {% for group in groups %}{{ group }} as group_{{ loop.index }}, {% endfor %}
        {% for column in columns -%}
        coalesce({{ column }}, 0) as total_{{ loop.index }}{{ ", " if not loop.last }}
        {%- endfor %}
    from {{ model }}
    where {{ where }}
    union all
    select
        {% for group in other_groups %}{{ group }} as group_{{ loop.index }}, {% endfor %}
        {% for column in (other_columns or columns) -%}
        -coalesce({{ column }}, 0) as total_{{ loop.index }}{{ ", " if not loop.last }}
        {%- endfor %}
    from {{ other }}
    where {{ other_where }}
) as totals
group by
    {% for group in groups -%}
    totals.group_{{ loop.index }}{{ ", " if not loop.last }}
    {%- endfor %}
having
    {% for column in columns -%}
    sum(totals.total_{{ loop.index }}) <> 0{{ " or " if not loop.last }}
    {%- endfor %}

{% endtest %}
