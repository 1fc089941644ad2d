{#-
  The versions of a slowly changing dimension (type 2), from the history that a staging model holds: every column of
  `history` with `valid_from` and `valid_to` (half-open; NULL while open). A row that says what the one before it said is no
  version; comparison treats NULLs as equal. `attributes` are the columns whose change makes a version.
-#}
{% macro versions_of(history, natural_key, attributes) -%}
    select
        *,
        updated_at as valid_from,
        lead(updated_at) over (partition by {{ natural_key }} order by updated_at) as valid_to
    from (
        select
            *,
            lag(attributes_key) over (partition by {{ natural_key }} order by updated_at) as previous_attributes_key
        from (
            select
                *,
                {{ surrogate_key(attributes) }} as attributes_key
            from {{ history }}
            where {{ exact.affected(natural_key) }}
        ) as hashed
    ) as compared
    where previous_attributes_key is null or previous_attributes_key <> attributes_key
{%- endmacro %}
