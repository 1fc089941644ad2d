{#- Steps that the materializations `exact` and `landed` share. -#}

{#-
  Writes the rows of the full definition into the temporary table `incoming`. Returns the properties
  that decide whether the model's table can hold them:
    columns     [name, type] of `incoming`
    change_log  [name, type] of the model's change log; empty if it has none
    versions    the columns for which the database refuses overlaps, sorted
-#}
{% macro hold_incoming(target, sql) -%}
    {%- set query -%}
        create temporary table incoming on commit drop as (
        {{ sql }}
        );
        select cast(jsonb_build_object(
            'columns', ({{ exact.columns_sql("pg_temp.incoming") }}),
            'change_log', ({{ exact.columns_sql("change_feed." ~ model.name) }}),
            'versions', ({{ exact.version_columns_sql(target) }})
        ) as text)
    {%- endset -%}
    {{ return(exact.read_state(query)) }}
{%- endmacro %}

{#-
  True if the table has the columns, constraints and partitions that the rows of `incoming` need.
-#}
{% macro has_the_shape_of(incoming, state) -%}
    {{ return(
        (state["definition"] or "").endswith("/" ~ exact.contract_shape())
        and exact.comparable(incoming["columns"]) == exact.comparable(state["columns"])
    ) }}
{%- endmacro %}

{#-
  Columns as [name, type]. If a contract gives the table its own lengths, precisions and order,
  those of the query do not matter: the columns are then sorted, and have no lengths and precisions.
-#}
{% macro comparable(columns_and_types) -%}
    {%- if not config.get("contract").enforced -%}{{ return(columns_and_types) }}{%- endif -%}
    {%- set columns = [] -%}
    {%- for column, type in columns_and_types -%}
        {%- do columns.append([column, modules.re.sub("\\(.*?\\)", "", type)]) -%}
    {%- endfor -%}
    {{ return(columns | sort) }}
{%- endmacro %}

{#- A statement that rounds and cuts the values in `incoming` as the table would. -#}
{% macro as_in_the_table(incoming, state) -%}
    {%- set alterations = [] -%}
    {%- for column, type in state["columns"] if [column, type] not in incoming["columns"] -%}
        {%- do alterations.append("alter column " ~ column ~ " type " ~ type) -%}
    {%- endfor -%}
    {{ "alter table incoming " ~ alterations | join(", ") ~ ";" if alterations }}
{%- endmacro %}

{#-
  True if the change log and the database's constraint on versions match the model's config, too.
-#}
{% macro keeps_its_change_log(incoming, change_log, rebuild_key=[], window=none) -%}
    {%- set versions = rebuild_key + [window["from"], window["to"]] if window else [] -%}
    {{ return(
        incoming["change_log"] | map("first") | sort == (["_seq"] + change_log) | sort
        and incoming["versions"] == versions | unique | sort
    ) }}
{%- endmacro %}

{#-
  Fills the whole table and starts an empty change log. A table of the same shape is emptied and
  filled, so that views on it and grants stay. A table of another shape is dropped and created.
  `incoming` is the result of hold_incoming, or none if the rows of `sql` have not been computed.
-#}
{% macro rebuild(existing, target, sql, change_log, state, incoming) -%}
    {% set partition_by, window = config.get("partition_by"), config.get("window") %}
    {% set is_table = existing is not none and existing.is_table %}
    {% set is_refilled = is_table and exact.has_the_shape_of(incoming, state) %}
    {% set sql = "select * from incoming" if incoming else sql %}
    {% if existing is not none and not is_refilled %}
        {% do adapter.drop_relation(existing) %}
        {% do state.update({"descriptions": {}}) %}
    {% endif %}
    {% if is_refilled or partition_by %}
        {% if is_refilled %}
            {#-
              Indexes are created after the table is filled. That is faster, and dbt would create
              its own again under new names.
            -#}
            {% do exact.drop_indexes(target) %}
            {% do exact.empty(target) %}
        {% else %}
            {% do exact.execute_sql(exact.create_partitioned_sql(target, sql, partition_by)) %}
        {% endif %}
        {% if partition_by %}
            {% do exact.add_partitions(target, partition_by, "incoming") %}
        {% endif %}
        {% set columns = state["columns"] if is_refilled else exact.columns_of(target) %}
        {% set columns = columns | map("first") | join(", ") %}
        {% call statement("main") %}
            insert into {{ target }} ({{ columns }}) select {{ columns }} from incoming
        {% endcall %}
    {% else %}
        {% call statement("main") %}
            {{ get_create_table_as_sql(False, target, sql) }}
        {% endcall %}
    {% endif %}
    {% do create_indexes(target) %}
    {% if window or incoming and incoming["versions"] %}
        {% do exact.refuse_overlaps(target, config.get("rebuild_key"), window) %}
    {% endif %}
    {% call statement("change_log") %}
        analyze {{ target }};
        drop table if exists change_feed.{{ model.name }};
        create table change_feed.{{ model.name }} as
        select cast(0 as bigint) as _seq, {{ change_log | join(", ") }} from {{ target }} limit 0;
        create index on change_feed.{{ model.name }} (_seq);
    {% endcall %}
{%- endmacro %}

{#-
  An empty table with the columns of the model's contract, partitioned by the months of a date
  column.
-#}
{% macro create_partitioned_sql(target, sql, partition_by) -%}
    {{ get_assert_columns_equivalent(sql) }}
    create table {{ target }} {{ get_table_columns_and_constraints() }}
    partition by range ({{ partition_by }})
{%- endmacro %}

{#-
  Adds the partitions for the days in the temporary table `dated`. Attaching them does not block
  readers of the table.
-#}
{% macro add_partitions(target, partition_by, dated) -%}
    {%- set partition -%}
        to_char(months.month_start, '"{{ target.identifier }}_"YYYY_MM')
    {%- endset -%}
    {%- set query -%}
        select
            {{ partition }} as partition,
            cast(months.month_start as text),
            cast(cast(months.month_start + interval '1 month' as date) as text)
        from (
            select distinct cast(date_trunc('month', days.day) as date) as month_start
            from (select distinct {{ partition_by }} as day from {{ dated }}) as days
        ) as months
        where to_regclass('{{ target.schema }}.' || {{ partition }}) is null
        order by months.month_start
    {%- endset -%}
    {%- for name, first, next in run_query(query).rows -%}
        {%- set partition = target.schema ~ "." ~ name -%}
        {%- do exact.execute_sql(
            "create table " ~ partition ~ " (like " ~ target
            ~ " including defaults including constraints); "
            ~ "alter table " ~ target ~ " attach partition " ~ partition
            ~ " for values from ('" ~ first ~ "') to ('" ~ next ~ "')"
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{#- Removes all rows from the table, and its partitions. -#}
{% macro empty(target) -%}
    {%- set query -%}
        select cast(inhrelid::regclass as text)
        from pg_inherits
        where inhparent = to_regclass('{{ target }}')
    {%- endset -%}
    {%- set partitions = run_query(query).columns[0].values() -%}
    {%- if partitions -%}{%- do exact.execute_sql("drop table " ~ partitions | join(", ")) -%}
    {%- else -%}{%- do exact.execute_sql("truncate table " ~ target) -%}{%- endif -%}
{%- endmacro %}

{#-
  Makes the database refuse two versions of a key that are valid at the same time. The key is an
  expression in the index, so that no query looks versions up with it: the planner estimates that a
  lookup by GiST costs as little as one by a b-tree, but it takes many times as long.
-#}
{% macro refuse_overlaps(target, rebuild_key, window) -%}
    {%- set name = exact.overlaps_name(target) -%}
    {%- set statements = ["alter table " ~ target ~ " drop constraint if exists " ~ name] -%}
    {%- if window -%}
        {%- set types, expressions = {}, [] -%}
        {%- for column, type in exact.columns_of(target) -%}
            {%- do types.update({column: type}) -%}
        {%- endfor -%}
        {%- for column in rebuild_key -%}
            {%- do expressions.append("(cast(" ~ column ~ " as text) || '') with =") -%}
        {%- endfor -%}
        {%- set range = "daterange" if types[window["from"]] == "date" else "tstzrange" -%}
        {%- set ends = window["from"] ~ ", " ~ window["to"] -%}
        {%- do expressions.append(range ~ "(" ~ ends ~ ") with &&") -%}
        {%- do statements.append(
            "alter table " ~ target ~ " add constraint " ~ name ~ " exclude using gist ("
            ~ expressions | join(", ") ~ ")"
        ) -%}
    {%- endif -%}
    {%- do exact.execute_sql(statements | join("; ")) -%}
{%- endmacro %}

{% macro overlaps_name(target) -%}
    {{ return(target.identifier ~ "_do_not_overlap") }}
{%- endmacro %}

{#- The columns in the constraint that refuse_overlaps has made, sorted. -#}
{% macro version_columns_sql(target) -%}
    select coalesce(jsonb_agg(distinct a.attname order by a.attname), '[]')
    from pg_constraint as c
    inner join pg_depend as d
        on c.conindid = d.objid and d.refobjid = c.conrelid and d.classid = 'pg_class'::regclass
    inner join pg_attribute as a on d.refobjid = a.attrelid and d.refobjsubid = a.attnum
    where
        c.conrelid = to_regclass('{{ target }}') and c.conname = '{{ exact.overlaps_name(target) }}'
        and a.attnum > 0
{%- endmacro %}

{#- Drops the table's indexes, except those that a constraint needs. -#}
{% macro drop_indexes(relation) -%}
    {%- set query -%}
        select format('drop index %s', i.indexrelid::regclass)
        from pg_index as i
        where i.indrelid = to_regclass('{{ relation }}')
            and not exists (select from pg_constraint as c where c.conindid = i.indexrelid)
    {%- endset -%}
    {%- for row in run_query(query).rows -%}{%- do exact.execute_sql(row[0]) -%}{%- endfor -%}
{%- endmacro %}

{#-
  Gives a table that is not rebuilt the indexes of its config, if these have changed. A rebuild
  would cost more, and a `landed` model would lose the rows that raw no longer has. Indexes by
  post-hooks and people stay: the name of dbt's own is a hash. `found` has the indexes of the table:
  {what is indexed: name}.
-#}
{% macro renew_indexes(target, found) -%}
    {%- set wanted = {} -%}
    {%- for index in config.get("indexes") or [] -%}
        {%- set kind = index.get("type", "btree") ~ (" unique " if index.get("unique") else " ") -%}
        {%- do wanted.update({kind ~ index["columns"] | join(", "): index}) -%}
    {%- endfor -%}
    {%- for definition, name in found.items() if definition not in wanted -%}
        {%- do exact.execute_sql("drop index " ~ name) -%}
    {%- endfor -%}
    {%- for definition, index in wanted.items() if definition not in found -%}
        {%- do exact.execute_sql(get_create_index_sql(target, index)) -%}
    {%- endfor -%}
{%- endmacro %}

{% macro indexes_sql(relation) -%}
    select jsonb_object_agg(
        am.amname || case when i.indisunique then ' unique ' else ' ' end || (
            select string_agg(
                pg_get_indexdef(i.indexrelid, k.position, true), ', ' order by k.position
            )
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
  Writes the descriptions of a table or view and of its columns, if the database has others. dbt
  queries the columns twice and writes all descriptions: for every table in every build, that was a
  fifth of the time. `found` has the present descriptions: {column: text}, and that of the table
  under the empty name.
-#}
{% macro renew_descriptions(target, found) -%}
    {%- set wanted = {"": model.description} -%}
    {%- for column in model.columns.values() -%}
        {%- do wanted.update({column.name: column.description}) -%}
    {%- endfor -%}
    {%- if wanted != found -%}{%- do persist_docs(target, model) -%}{%- endif -%}
{%- endmacro %}

{% macro descriptions_sql(relation) -%}
    select jsonb_object_agg(coalesce(a.attname, ''), d.description)
    from pg_description as d
    left join pg_attribute as a on d.objoid = a.attrelid and d.objsubid = a.attnum
    where d.objoid = to_regclass('{{ relation }}') and d.classoid = 'pg_class'::regclass
{%- endmacro %}

{#- The columns of a table or temporary table, in order, as [name, type]. -#}
{% macro columns_of(relation) -%}
    {%- set query = "select cast((" ~ exact.columns_sql(relation) ~ ") as text)" -%}
    {{ return(fromjson(run_query(query).rows[0][0])) }}
{%- endmacro %}

{% macro columns_sql(relation) -%}
    select coalesce(
        jsonb_agg(jsonb_build_array(attname, format_type(atttypid, atttypmod)) order by attnum),
        '[]'
    )
    from pg_attribute
    where attrelid = to_regclass('{{ relation }}') and attnum > 0 and not attisdropped
{%- endmacro %}

{#-
  A statement that compares two tables, `outgoing` and `incoming`, as multisets with equal NULLs,
  and creates the temporary table `into`: the distinct columns `kept` of the rows of which one side
  has more. A key that outgoing does not have is new: its rows are not compared. `columns_and_types`
  are the columns of both tables, as [name, type]. The columns in `without` are not compared.
-#}
{% macro compare(
    columns_and_types,
    key,
    kept,
    without=[],
    outgoing="outgoing",
    incoming="incoming",
    into="changed"
) -%}
    {%- set columns, distinct_by = [], [] -%}
    {%- for column, type in columns_and_types if column not in without -%}
        {%- do columns.append(column) -%}
        {#-
          Equal JSON may be written in two ways (1 and 1.0), and then values derived from it
          differ.
        -#}
        {%- do distinct_by.append("cast(" ~ column ~ " as text)" if type == "jsonb" else column) -%}
    {%- endfor -%}
    {%- set same_key = [] -%}
    {%- for column in key -%}
        {%- do same_key.append("incoming." ~ column ~ " = outgoing." ~ column) -%}
    {%- endfor -%}
    {%- set columns, kept = columns | join(", "), kept | unique | join(", ") -%}
    {%- set is_known -%}
        exists (select 1 from {{ outgoing }} as outgoing where {{ same_key | join(" and ") }})
    {%- endset -%}
    create temporary table {{ into }} on commit drop as
    select distinct {{ kept }}
    from (
        select {{ kept }}
        from (
            select {{ columns }}, 1 as _side from {{ incoming }} as incoming where {{ is_known }}
            union all
            select {{ columns }}, -1 as _side from {{ outgoing }} as outgoing
        ) as both_sides
        group by {{ columns }}, {{ distinct_by | join(", ") }}
        having sum(_side) <> 0
        union all
        select {{ kept }} from {{ incoming }} as incoming where not {{ is_known }}
    ) as differences
{%- endmacro %}

{#- Ends a build in which nothing was affected or nothing changed. -#}
{% macro nothing_to_write(message) -%}
    {% do store_raw_result(name="main", message=message, code="NONE", rows_affected=0) %}
{%- endmacro %}
