{#-
  The versions of a slowly changing dimension have neither gaps nor overlaps: every window
  [from_column, to_column) begins before it ends, the next one of its key begins where it ends, at
  most the last one is open, and exactly that one is current. Only a deletion makes a gap, or an end
  without a next version. The test returns the wrong version, and when the next one begins.

  Arguments
    key: the natural key
    deletions: the model with the history of the source (key, updated_at, is_deleted); without it,
      nothing is ever deleted
    from_column, to_column, current_column: their names, if they are not valid_from, valid_to and
      is_current
-#}
{% test scd2_windows(
    model, key, deletions=none, from_column="valid_from", to_column="valid_to",
    current_column="is_current"
) %}

with windows as (
    select
        {{ key }},
        {{ from_column }},
        {{ to_column }},
        {{ current_column }},
        lead({{ from_column }}) over (
            partition by {{ key }} order by {{ from_column }}, {{ to_column }}
        ) as next_from
    from {{ model }}
)

select *
from windows
where
    {{ from_column }} is null
    or {{ from_column }} >= {{ to_column }}
    or (next_from is not null and coalesce({{ to_column }} > next_from, true))
    or {{ current_column }} is distinct from ({{ to_column }} is null)
    or (
        ({{ to_column }} < next_from or (next_from is null and {{ to_column }} is not null))
        {%- if deletions %}
        and not exists (
            select 1
            from {{ deletions }} as history
            where
                history.{{ key }} = windows.{{ key }}
                and history.updated_at = windows.{{ to_column }}
                and history.is_deleted
        )
        {%- endif %}
    )

{% endtest %}
