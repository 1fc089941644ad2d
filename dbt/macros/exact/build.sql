{#- Steps that the materializations `exact` and `landed` share. -#}

{#-
  Builds the whole table from `sql` and starts an empty change feed. A table of the same shape (columns, types and
  constraints) is emptied and filled, so that views on it and grants stay; another shape is dropped and made new.
-#}
{% macro rebuild(existing, target, sql, feed) -%}
    {% set replaceable = false %}
    {% if existing is not none and existing.is_table %}
        {% do run_query("create temporary table incoming on commit drop as (" ~ sql ~ "\n)") %}
        {% set sql = "select * from incoming" %}
        {% set replaceable = built_with_shape(contract_shape())
            and columns_of("pg_temp.incoming") | map("join", " ") | list == columns_of(target) | map("join", " ") | list %}
    {% endif %}
    {% if replaceable %}
        {% set columns = columns_of(target) | map("first") | join(", ") %}
        {#- Filled without indexes and indexed afterwards: faster, and dbt would add its indexes once more under new names. -#}
        {% do drop_indexes(target) %}
        {% do run_query("truncate table " ~ target) %}
        {% call statement("main") %}
            insert into {{ target }} ({{ columns }}) select {{ columns }} from incoming
        {% endcall %}
    {% else %}
        {% if existing is not none %}{% do adapter.drop_relation(existing) %}{% endif %}
        {% call statement("main") %}
            {{ get_create_table_as_sql(False, target, sql) }}
        {% endcall %}
    {% endif %}
    {% do create_indexes(target) %}
    {% call statement("feed") %}
        analyze {{ target }};
        drop table if exists change_feed.{{ model.name }};
        create table change_feed.{{ model.name }} as
        select cast(0 as bigint) as _seq, {{ feed | join(", ") }} from {{ target }} limit 0;
        create index on change_feed.{{ model.name }} (_seq);
    {% endcall %}
{%- endmacro %}

{#- Drops the table's indexes, but for those that a constraint needs. -#}
{% macro drop_indexes(relation) -%}
    {%- set query -%}
        select format('drop index %s', i.indexrelid::regclass)
        from pg_index as i
        where i.indrelid = to_regclass('{{ relation }}')
            and not exists (select from pg_constraint as c where c.conindid = i.indexrelid)
    {%- endset -%}
    {%- for row in run_query(query).rows -%}{%- do run_query(row[0]) -%}{%- endfor -%}
{%- endmacro %}

{#-
  Compares the temporary tables `outgoing` and `incoming` as multisets, NULLs being equal, into the temporary table
  `changed`: the rows of which one side has more, and `_side`, which is positive where incoming has them.
-#}
{% macro compare(relation, without=[]) -%}
    {%- set columns, distinct_by = [], [] -%}
    {%- for column, type in columns_of(relation) if column not in without -%}
        {%- do columns.append(column) -%}
        {#- JSON that is equal may still be written otherwise (1 and 1.0), and what is derived from it then differs. -#}
        {%- do distinct_by.append("cast(" ~ column ~ " as text)" if type == "jsonb" else column) -%}
    {%- endfor -%}
    {%- set columns = columns | join(", ") -%}
    create temporary table changed on commit drop as
    select {{ columns }}, sum(_side) as _side
    from (
        select {{ columns }}, 1 as _side from incoming
        union all
        select {{ columns }}, -1 as _side from outgoing
    ) as both_sides
    group by {{ columns }}, {{ distinct_by | join(", ") }}
    having sum(_side) <> 0
{%- endmacro %}

{#- Ends a build in which nothing was touched or nothing changed. -#}
{% macro nothing_to_write(message) -%}
    {% do store_raw_result(name="main", message=message, code="NONE", rows_affected=0) %}
{%- endmacro %}
