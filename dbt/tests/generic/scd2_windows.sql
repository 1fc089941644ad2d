{#-
  The versions of a slowly changing dimension fit together: every window [from_column, to_column) begins before it ends,
  windows of one key do not overlap (so at most one of them is open), and exactly the open ones are current. A gap is
  allowed: a deleted entity may come back. Shows the version at fault, and when the next one begins.

  Arguments
    key: the natural key
    from_column, to_column, current_column: names, where they are not valid_from, valid_to and is_current
-#}
{% test scd2_windows(model, key, from_column="valid_from", to_column="valid_to", current_column="is_current") %}

with windows as (
    select
        {{ key }},
        {{ from_column }},
        {{ to_column }},
        {{ current_column }},
        lead({{ from_column }}) over (partition by {{ key }} order by {{ from_column }}, {{ to_column }}) as next_from
    from {{ model }}
)

select *
from windows
where
    {{ from_column }} is null
    or {{ from_column }} >= {{ to_column }}
    or (next_from is not null and coalesce({{ to_column }} > next_from, true))
    or {{ current_column }} is distinct from ({{ to_column }} is null)

{% endtest %}
