{#-
  The database itself keeps `columns` unique and not NULL. For tables that grow with every event: it asks the catalogue and
  reads no row, so it costs the same after ten years as after ten days.

  Arguments
    columns: the columns of the key
-#}
{% test enforced_key(model, columns) %}
{%- if target.type != "postgres" -%}
    {{ exceptions.raise_compiler_error("enforced_key asks PostgreSQL's catalogue; it is not written for " ~ target.type ~ ".") }}
{%- endif %}

with key_columns as (
    select
        attribute.attnum,
        attribute.attnotnull
    from pg_attribute as attribute
    where attribute.attrelid = to_regclass('{{ model }}') and attribute.attname in ('{{ columns | join("', '") }}')
),

unique_indexes as (
    select index.indexrelid
    from pg_index as index
    where
        index.indrelid = to_regclass('{{ model }}')
        and index.indisunique
        and index.indisvalid
        and index.indpred is null
        and index.indnkeyatts = {{ columns | length }}
        and (select count(*) from key_columns where key_columns.attnum = any(cast(index.indkey as smallint [])))
        = {{ columns | length }}
)

select 'no unique index on ({{ columns | join(", ") }})' as problem
where not exists (select 1 from unique_indexes)
union all
select 'a column of ({{ columns | join(", ") }}) may be NULL' as problem
where (select count(*) from key_columns where attnotnull) <> {{ columns | length }}

{% endtest %}
