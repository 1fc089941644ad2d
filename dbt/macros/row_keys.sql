{#-
  How the test `every_row` checks the key of a model. Each macro is a query of `_rule` and the
  columns of the model.
-#}

{#- A repeated key that contains a NULL is shown without its rows: nothing equals NULL. -#}
{% macro rows_with_the_same(key, model) -%}
    {%- set same = [] -%}
    {%- for column in key -%}
        {%- do same.append("rows_of_key." ~ column ~ " = repeated." ~ column) -%}
    {%- endfor -%}
select '{{ key | join(", ") }} comes once' as _rule, rows_of_key.*
from (
    select {{ key | join(", ") }}
    from {{ model }}
    group by {{ key | join(", ") }}
    having count(*) > 1
) as repeated
left join {{ model }} as rows_of_key on {{ same | join(" and ") }}
{%- endmacro %}

{% macro what_is_not_enforced(key, model) -%}
{%- if target.type != "postgres" -%}
    {{ exceptions.raise_compiler_error(
        "every_row checks enforced_key in PostgreSQL's catalogue. It is not implemented for "
        ~ target.type ~ "."
    ) }}
{%- endif -%}
select findings._rule, no_row.*
from (
    select '{{ key | join(", ") }} has a unique index' as _rule
    where not exists (
        select 1
        from pg_index as i
        where
            i.indrelid = to_regclass('{{ model }}')
            and i.indisunique
            and i.indisvalid
            and i.indpred is null
            and i.indnkeyatts = {{ key | length }}
            and (
                select count(*)
                from pg_attribute as a
                where
                    a.attrelid = i.indrelid
                    and a.attname in ('{{ key | join("', '") }}')
                    and a.attnum = any(
                        (cast(i.indkey as smallint []))[0:i.indnkeyatts - 1]
                    )
            ) = {{ key | length }}
    )
    union all
    select '{{ key | join(", ") }} cannot be NULL'
    where (
        select count(*)
        from pg_attribute as a
        where
            a.attrelid = to_regclass('{{ model }}')
            and a.attname in ('{{ key | join("', '") }}')
            and a.attnotnull
    ) <> {{ key | length }}
) as findings
left join {{ model }} as no_row on false
{%- endmacro %}
