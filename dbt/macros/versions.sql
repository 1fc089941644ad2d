{#-
  The versions of a slowly changing dimension (type 2), from the history in a staging model: every
  column of `history`, with `valid_from` and `valid_to` (half-open; NULL while open). A row that
  repeats the previous one is not a version; NULLs count as equal. `attributes` are the columns
  whose change makes a version.
-#}
{% macro versions_of(history, natural_key, attributes) -%}
    select
        *,
        updated_at as valid_from,
        lead(updated_at) over (partition by {{ natural_key }} order by updated_at) as valid_to
    from (
        select
            *,
            lag(attributes_key) over (
                partition by {{ natural_key }} order by updated_at
            ) as previous_attributes_key
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

{#-
  The unknown member: the row that facts refer to until their dimension row arrives. `attributes`
  are the dimension's columns between its natural key and valid_from, with their types: {name:
  type}. Its natural key is empty, which that of a landed row never is.
-#}
{% macro unknown_member(surrogate_key, natural_key, attributes) -%}
    select
        {{ unknown_key() }} as {{ surrogate_key }},
        '' as {{ natural_key }},
        {% for name, type in attributes.items() -%}
        cast(null as {{ type }}) as {{ name }},
        {% endfor -%}
        cast('0001-01-01 00:00:00+00' as timestamptz) as valid_from,
        cast(null as timestamptz) as valid_to,
        true as is_current
{%- endmacro %}
