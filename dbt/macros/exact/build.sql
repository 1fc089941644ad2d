{#- Steps that the materializations `exact` and `landed` share. -#}

{#-
  Builds the whole table from `sql` and starts an empty change feed. A table of the same shape (columns, types, constraints and
  partitions) is emptied and filled, so that views on it and grants stay; another shape is dropped and made new.
-#}
{% macro rebuild(existing, target, sql, feed, state) -%}
    {% set partition_by = config.get("partition_by") %}
    {% set is_table = existing is not none and existing.is_table %}
    {% set replaceable = false %}
    {% if is_table or partition_by %}
        {% do execute_sql("create temporary table incoming on commit drop as (" ~ sql ~ "\n)") %}
        {% set sql = "select * from incoming" %}
        {% set replaceable = is_table and (state["definition"] or "").endswith("/" ~ contract_shape())
            and columns_of("pg_temp.incoming") == state["columns"] %}
    {% endif %}
    {% if existing is not none and not replaceable %}
        {% do adapter.drop_relation(existing) %}
        {% do state.update({"descriptions": {}}) %}
    {% endif %}
    {% if replaceable or partition_by %}
        {% if replaceable %}
            {#- Filled without indexes and indexed afterwards: faster, and dbt would add its indexes once more under new names. -#}
            {% do drop_indexes(target) %}
            {% do empty(target) %}
        {% else %}
            {% do execute_sql(create_partitioned_sql(target, sql, partition_by)) %}
        {% endif %}
        {% if partition_by %}{% do add_partitions(target, partition_by, "incoming") %}{% endif %}
        {% set columns = (state["columns"] if replaceable else columns_of(target)) | map("first") | join(", ") %}
        {% call statement("main") %}
            insert into {{ target }} ({{ columns }}) select {{ columns }} from incoming
        {% endcall %}
    {% else %}
        {% call statement("main") %}
            {{ get_create_table_as_sql(False, target, sql) }}
        {% endcall %}
    {% endif %}
    {% do create_indexes(target) %}
    {% if config.get("window") %}{% do forbid_overlaps(target, config.get("rebuild_key"), config.get("window")) %}{% endif %}
    {% call statement("feed") %}
        analyze {{ target }};
        drop table if exists change_feed.{{ model.name }};
        create table change_feed.{{ model.name }} as
        select cast(0 as bigint) as _seq, {{ feed | join(", ") }} from {{ target }} limit 0;
        create index on change_feed.{{ model.name }} (_seq);
    {% endcall %}
{%- endmacro %}

{#- An empty table with the columns of the model's contract, to be partitioned by the months of a date column. -#}
{% macro create_partitioned_sql(target, sql, partition_by) -%}
    {{ get_assert_columns_equivalent(sql) }}
    create table {{ target }} {{ get_table_columns_and_constraints() }} partition by range ({{ partition_by }})
{%- endmacro %}

{#- Adds the partitions for the days in the temporary table `dated`. Attaching lets readers of the table go on. -#}
{% macro add_partitions(target, partition_by, dated) -%}
    {%- set query -%}
        select
            to_char(months.month_start, '"{{ target.identifier }}_"YYYY_MM') as partition,
            cast(months.month_start as text),
            cast(cast(months.month_start + interval '1 month' as date) as text)
        from (
            select distinct cast(date_trunc('month', days.day) as date) as month_start
            from (select distinct {{ partition_by }} as day from {{ dated }}) as days
        ) as months
        where to_regclass('{{ target.schema }}.' || to_char(months.month_start, '"{{ target.identifier }}_"YYYY_MM')) is null
        order by months.month_start
    {%- endset -%}
    {%- for name, first, next in run_query(query).rows -%}
        {%- do execute_sql("create table " ~ target.schema ~ "." ~ name ~ " (like " ~ target ~ " including defaults including constraints);"
            ~ "alter table " ~ target ~ " attach partition " ~ target.schema ~ "." ~ name
            ~ " for values from ('" ~ first ~ "') to ('" ~ next ~ "')") -%}
    {%- endfor -%}
{%- endmacro %}

{#- Takes all rows out of the table; its partitions go with them. -#}
{% macro empty(target) -%}
    {%- set partitions = run_query("select cast(inhrelid::regclass as text) from pg_inherits where inhparent = to_regclass('" ~ target ~ "')").columns[0].values() -%}
    {%- if partitions -%}{%- do execute_sql("drop table " ~ partitions | join(", ")) -%}
    {%- else -%}{%- do execute_sql("truncate table " ~ target) -%}{%- endif -%}
{%- endmacro %}

{#-
  The database itself refuses two versions of a unit that are valid at the same time. The unit stands in its index as an expression,
  so that nobody looks versions up by it: the planner thinks a lookup by GiST as cheap as one by a b-tree, and it takes many times as long.
-#}
{% macro forbid_overlaps(target, unit, window) -%}
    {%- set types, expressions = {}, [] -%}
    {%- for column, type in columns_of(target) -%}{%- do types.update({column: type}) -%}{%- endfor -%}
    {%- for column in unit -%}{%- do expressions.append("(cast(" ~ column ~ " as text) || '') with =") -%}{%- endfor -%}
    {%- set range = "daterange" if types[window["from"]] == "date" else "tstzrange" -%}
    {%- set name = target.identifier ~ "_do_not_overlap" -%}
    {%- do execute_sql("alter table " ~ target ~ " drop constraint if exists " ~ name ~ "; alter table " ~ target ~ " add constraint " ~ name
        ~ " exclude using gist (" ~ expressions | join(", ") ~ ", " ~ range ~ "(" ~ window["from"] ~ ", " ~ window["to"] ~ ") with &&)") -%}
{%- endmacro %}

{#- Drops the table's indexes, but for those that a constraint needs. -#}
{% macro drop_indexes(relation) -%}
    {%- set query -%}
        select format('drop index %s', i.indexrelid::regclass)
        from pg_index as i
        where i.indrelid = to_regclass('{{ relation }}')
            and not exists (select from pg_constraint as c where c.conindid = i.indexrelid)
    {%- endset -%}
    {%- for row in run_query(query).rows -%}{%- do execute_sql(row[0]) -%}{%- endfor -%}
{%- endmacro %}

{#-
  Gives a table that is not rebuilt the indexes of its config, where these have changed. Rebuilding would cost more, and lose
  the rows of a `landed` model that raw no longer has. Those of post-hooks and of people stay: dbt names its own by a hash.
  `there` are the indexes that it has: {what is indexed: name}.
-#}
{% macro renew_indexes(target, there) -%}
    {%- set wanted = {} -%}
    {%- for index in config.get("indexes") or [] -%}
        {%- do wanted.update({index.get("type", "btree") ~ (" unique " if index.get("unique") else " ") ~ index["columns"] | join(", "): index}) -%}
    {%- endfor -%}
    {%- for definition, name in there.items() if definition not in wanted -%}{%- do execute_sql("drop index " ~ name) -%}{%- endfor -%}
    {%- for definition, index in wanted.items() if definition not in there -%}{%- do execute_sql(get_create_index_sql(target, index)) -%}{%- endfor -%}
{%- endmacro %}

{% macro indexes_sql(relation) -%}
    select jsonb_object_agg(
        am.amname || case when i.indisunique then ' unique ' else ' ' end || (
            select string_agg(pg_get_indexdef(i.indexrelid, k.position, true), ', ' order by k.position)
            from generate_series(1, i.indnkeyatts) as k (position)
        ),
        cast(i.indexrelid::regclass as text)
    )
    from pg_index as i
    inner join pg_class as named on i.indexrelid = named.oid
    inner join pg_am as am on named.relam = am.oid
    where i.indrelid = to_regclass('{{ relation }}') and named.relname ~ '^[0-9a-f]{32}$'
{%- endmacro %}

{#-
  Writes the descriptions of a table or view and of its columns where the database has others. dbt asks twice for the columns and
  writes all of them: done for every table in every build, that was a fifth of its time. `there` are the descriptions that it has:
  {column: text}, and that of the whole under the empty name.
-#}
{% macro renew_descriptions(target, there) -%}
    {%- set wanted = {"": model.description} -%}
    {%- for column in model.columns.values() -%}{%- do wanted.update({column.name: column.description}) -%}{%- endfor -%}
    {%- if wanted != there -%}{%- do persist_docs(target, model) -%}{%- endif -%}
{%- endmacro %}

{% macro descriptions_sql(relation) -%}
    select jsonb_object_agg(coalesce(a.attname, ''), d.description)
    from pg_description as d
    left join pg_attribute as a on d.objoid = a.attrelid and d.objsubid = a.attnum
    where d.objoid = to_regclass('{{ relation }}') and d.classoid = 'pg_class'::regclass
{%- endmacro %}

{#-
  Statement that compares the temporary tables `outgoing` and `incoming`, whose columns are given as [name, type], as multisets, NULLs
  being equal, into the temporary table `changed`: the columns `kept`, once each, of the rows of which one side has more. A `unit` that
  outgoing has not got is new: nothing to compare.
-#}
{% macro compare(columns_and_types, unit, kept, without=[]) -%}
    {%- set columns, distinct_by = [], [] -%}
    {%- for column, type in columns_and_types if column not in without -%}
        {%- do columns.append(column) -%}
        {#- JSON that is equal may still be written otherwise (1 and 1.0), and what is derived from it then differs. -#}
        {%- do distinct_by.append("cast(" ~ column ~ " as text)" if type == "jsonb" else column) -%}
    {%- endfor -%}
    {%- set same_unit = [] -%}
    {%- for column in unit -%}{%- do same_unit.append("incoming." ~ column ~ " = outgoing." ~ column) -%}{%- endfor -%}
    {%- set same_unit, columns, kept = same_unit | join(" and "), columns | join(", "), kept | unique | join(", ") -%}
    create temporary table changed on commit drop as
    select distinct {{ kept }}
    from (
        select {{ kept }}
        from (
            select {{ columns }}, 1 as _side from incoming where exists (select 1 from outgoing where {{ same_unit }})
            union all
            select {{ columns }}, -1 as _side from outgoing
        ) as both_sides
        group by {{ columns }}, {{ distinct_by | join(", ") }}
        having sum(_side) <> 0
        union all
        select {{ kept }} from incoming where not exists (select 1 from outgoing where {{ same_unit }})
    ) as differences
{%- endmacro %}

{#- Ends a build in which nothing was affected or nothing changed. -#}
{% macro nothing_to_write(message) -%}
    {% do store_raw_result(name="main", message=message, code="NONE", rows_affected=0) %}
{%- endmacro %}
