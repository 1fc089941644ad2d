{#-
  Materialization `landed`: every landed row of a source once, typed, with its verdict in
  `_row_status`: accepted (the one row of its key), duplicate (another row of that key is later) or
  rejected (`_reject_rule` says why).

  The model's SQL types the raw rows and checks each by itself. The materialization consumes new
  loads, deletes the rows of superseded loads, and decides again which row is the last of its key,
  for the keys of both. README.md documents its config, the columns that it needs, and the load log
  that it reads.
-#}
{% materialization landed, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type="table") %}
    {% set key, latest_by = config.require("key"), config.get("latest_by") or [] %}
    {% set change_log = config.get("change_log") or key %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {% set state = exact.locked_state(target) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set is_table = existing is not none and existing.is_table %}
    {% set settings = [config.require("source"), change_log] %}
    {% set judged = exact.with_verdict(sql, key, latest_by) %}
    {% set definition = exact.definition_of(judged, settings, state) %}
    {% set stays = is_table and not should_full_refresh() %}
    {% set loads = exact.load_changes() %}
    {% if stays and state["definition"] == definition %}
        {% if loads["new"] or loads["gone"] %}
            {% set changes = exact.take_in(target, sql, key, latest_by, change_log, loads, state) %}
            {% do exact.record_build(definition, state, change_log, changes=changes) %}
            {% do exact.record_loads(loads["new"], loads["gone"]) %}
        {% else %}
            {% do exact.nothing_to_write("nothing landed") %}
        {% endif %}
        {% do exact.renew_indexes(target, state["indexes"]) %}
    {% else %}
        {#-
          Only the loads that were listed, and not one that has committed since: it would be
          consumed twice.
        -#}
        {% set live = "_load_id in (" ~ exact.load_ids(loads["live"]) ~ ")" %}
        {% set judged = exact.from_loads(judged, live) %}
        {% set incoming = exact.hold_incoming(target, judged) if is_table else none %}
        {% if stays and exact.has_the_shape_of(incoming, state)
            and exact.keeps_its_change_log(incoming, change_log) %}
            {% set changes = exact.take_in_again(
                target, incoming, key, latest_by, change_log, loads, state
            ) %}
            {% do exact.record_build(
                definition, state, change_log, changes=changes, how="recomputed"
            ) %}
            {% do exact.record_loads(loads["new"], loads["gone"]) %}
            {% do exact.renew_indexes(target, state["indexes"]) %}
        {% else %}
            {% do exact.rebuild(existing, target, judged, change_log, state, incoming) %}
            {% do exact.record_build(definition, state, change_log, how="rebuilt") %}
            {% do exact.execute_sql(
                "delete from change_feed.consumed_loads where model = '" ~ model.name ~ "'"
            ) %}
            {% do exact.record_loads(loads["live"], []) %}
        {% endif %}
    {% endif %}
    {% do exact.renew_descriptions(target, state["descriptions"]) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{#-
  The table or view that lists the loads. A `var` of the root project, because these macros run for
  its models.
-#}
{% macro load_log() -%}
    {{ return(var("exact_load_log", "raw.loads")) }}
{%- endmacro %}

{#-
  The source's loads as [load_id, partition]: `live` ones, `new` ones that the model has not
  consumed yet, and `gone` ones, which are superseded.
-#}
{% macro load_changes() -%}
    {%- set query -%}
        select
            coalesce(l.load_id, c.load_id) as load_id,
            l._partition,
            l.load_id is not null as is_live,
            c.load_id is not null as is_consumed
        from (
            select
                load_id,
                landed_on || case origin when 'file' then '/files' else '' end as _partition
            from {{ exact.load_log() }}
            where source = '{{ config.require("source") }}' and superseded_by is null
        ) as l
        full join (
            select load_id from change_feed.consumed_loads where model = '{{ model.name }}'
        ) as c on l.load_id = c.load_id
        order by 1
    {%- endset -%}
    {%- set live, new, gone = [], [], [] -%}
    {%- for row in run_query(query).rows -%}
        {%- if row[2] -%}{%- do live.append([row[0], row[1]]) -%}{%- endif -%}
        {%- if row[2] and not row[3] -%}{%- do new.append([row[0], row[1]]) -%}{%- endif -%}
        {%- if row[3] and not row[2] -%}{%- do gone.append([row[0], row[1]]) -%}{%- endif -%}
    {%- endfor -%}
    {{ return({"live": live, "new": new, "gone": gone}) }}
{%- endmacro %}

{% macro record_loads(taken_in, dropped) -%}
    {% if dropped %}
        {% do exact.execute_sql(
            "delete from change_feed.consumed_loads where model = '" ~ model.name
            ~ "' and load_id in (" ~ dropped | map("first") | join(", ") ~ ")"
        ) %}
    {% endif %}
    {% if taken_in %}
        {% do exact.execute_sql(
            "insert into change_feed.consumed_loads (model, load_id) select '" ~ model.name
            ~ "', load_id from " ~ exact.load_log()
            ~ " where load_id in (" ~ taken_in | map("first") | join(", ") ~ ")"
        ) %}
    {% endif %}
{%- endmacro %}

{#- The ids of loads as a list in SQL that is never empty: no load has the number -1. -#}
{% macro load_ids(loads) -%}
    {{ return((loads | map("first") | list + [-1]) | join(", ")) }}
{%- endmacro %}

{#- The definition with `condition` in the place of newly_landed(). -#}
{% macro from_loads(sql, condition) -%}
    {{ return(sql | replace("(true /*newly_landed*/)", "(" ~ condition ~ ")")) }}
{%- endmacro %}

{#-
  The query with the verdict on all its rows. The order has no ties, so the choice does not depend
  on the query plan.
-#}
{% macro with_verdict(sql, key, latest_by) -%}
    select
        judged.*,
        case
            when judged._reject_rule is not null then 'rejected'
            when row_number() over (
                partition by {{ key | join(", ") }}, judged._reject_rule is null
                order by {% for column in latest_by %}{{ column }} desc nulls last, {% endfor -%}
                    _landed_on desc, _file desc, _line desc, _load_id desc
            ) = 1 then 'accepted'
            else 'duplicate'
        end as _row_status
    from (
    {{ sql }}
    ) as judged
{%- endmacro %}

{#- Consumes the new loads. Returns the table that holds the changes, or none. -#}
{% macro take_in(target, sql, key, latest_by, change_log, loads, state) -%}
    {% set keys = key | join(", ") %}
    {% set columns = state["columns"] | map("first") | reject("equalto", "_row_status") | list %}
    {% set names = columns | join(", ") %}
    {% set gone, new = exact.load_ids(loads["gone"]), exact.load_ids(loads["new"]) %}
    {#- The query names the partitions, so that the planner reads no others. -#}
    {% set partitions = (loads["new"] | map(attribute=1) | unique | list + [""]) | join("', '") %}
    {% set is_new = "_partition in ('" ~ partitions ~ "') and _load_id in (" ~ new ~ ")" %}
    {% set contenders %}
        select {{ names }} from held where _load_id not in ({{ gone }})
        union all
        select {{ names }} from fresh
    {% endset %}
    {#-
      `held`: the rows of these keys that the table has. `judged`: these and all new rows, with
      their new verdicts.
    -#}
    {% set comparison %}
        create temporary table fresh on commit drop as (
        {{ exact.from_loads(sql, is_new) }}
        );
        analyze fresh;
        create temporary table keys on commit drop as
        select {{ keys }} from fresh where _reject_rule is null
        union
        select {{ keys }} from {{ target }} where _load_id in ({{ gone }}) and _reject_rule is null;
        analyze keys;
        create temporary table held on commit drop as
        select * from {{ target }}
        where ({{ keys }}) in (select {{ keys }} from keys) and _reject_rule is null;
        analyze held;
        create temporary table judged on commit drop as
        {{ exact.with_verdict(contenders, key, latest_by) }};
        create temporary view outgoing as select * from held where _row_status = 'accepted';
        create temporary view incoming as select * from judged where _row_status = 'accepted';
        {{ exact.compare(state["columns"], key, kept=change_log, without=exact.place_columns()) }};
        drop view outgoing, incoming;
        select cast(jsonb_build_object('any', exists (select 1 from changed)) as text)
    {% endset %}
    {% set changed = exact.read_state(comparison) %}
    {% call statement("main") %}
        delete from {{ target }} where _load_id in ({{ gone }});
        update {{ target }} as t
        set _row_status = j._row_status
        from judged as j
        inner join held as h
            on j._load_id = h._load_id and j._file = h._file and j._line = h._line
            and j._row_status <> h._row_status
        where t._load_id = j._load_id and t._file = j._file and t._line = j._line
            {%- for column in key %} and t.{{ column }} = j.{{ column }}{% endfor %};
        insert into {{ target }} ({{ names }}, _row_status)
        select {{ names }}, _row_status from judged where _load_id in ({{ new }})
    {% endcall %}
    {{ return("changed" if changed["any"] else none) }}
{%- endmacro %}

{#-
  The place of a row in its file, which no other model reads: the same row in a corrected file is
  not a change. All accepted rows have the same status.
-#}
{% macro place_columns() -%}
    {{ return(["_row_status", "_load_id", "_file", "_line"]) }}
{%- endmacro %}

{#-
  Compares the table with the rows of the full definition for all live loads, which `incoming`
  holds, and writes those that differ. Rows of live loads that have expired from raw are kept as
  they are. The last row of a key is chosen among all of them. Returns the table that holds the
  changes, or none.
-#}
{% macro take_in_again(target, incoming, key, latest_by, change_log, loads, state) -%}
    {% set columns = state["columns"] | map("first") | list %}
    {% set names = columns | join(", ") %}
    {% set without_verdict = columns | reject("equalto", "_row_status") | join(", ") %}
    {% set row_id = ["_load_id", "_file", "_line"] %}
    {% set rewritten %}
        (_load_id, _file, _line) in (select _load_id, _file, _line from rewritten)
    {%- endset %}
    {#-
      Queried after the raw rows are read: from then on, this transaction's lock on raw keeps them
      from expiring.
    -#}
    {% set expired = exact.expired_loads(loads["live"]) %}
    {% if expired %}
        {% set contenders %}
            select {{ without_verdict }} from read_again
            union all
            select {{ without_verdict }} from {{ target }}
            where _load_id in ({{ expired | join(", ") }})
        {% endset %}
        {% do exact.execute_sql(
            "alter table incoming rename to read_again; "
            ~ "create temporary table incoming on commit drop as "
            ~ exact.with_verdict(contenders, key, latest_by)
        ) %}
    {% endif %}
    {% set comparison %}
        {{ exact.as_in_the_table(incoming, state) }}
        analyze incoming;
        create temporary view outgoing as select * from {{ target }};
        {{ exact.compare(state["columns"], row_id, kept=row_id, into="rewritten") }};
        drop view outgoing;
        analyze rewritten;
        create temporary view accepted_before as
        select * from {{ target }} where {{ rewritten }} and _row_status = 'accepted';
        create temporary view accepted_now as
        select * from incoming where {{ rewritten }} and _row_status = 'accepted';
        {{ exact.compare(
            state["columns"], key, kept=change_log, without=exact.place_columns(),
            outgoing="accepted_before", incoming="accepted_now"
        ) }};
        drop view accepted_before, accepted_now;
        select cast(jsonb_build_object(
            'rewritten', exists (select 1 from rewritten), 'changed', exists (select 1 from changed)
        ) as text)
    {% endset %}
    {% set any = exact.read_state(comparison) %}
    {% if not any["rewritten"] %}
        {% do exact.nothing_to_write("nothing changed") %}
        {{ return(none) }}
    {% endif %}
    {% call statement("main") %}
        delete from {{ target }} where {{ rewritten }};
        insert into {{ target }} ({{ names }})
        select {{ names }} from incoming where {{ rewritten }}
    {% endcall %}
    {{ return("changed" if any["changed"] else none) }}
{%- endmacro %}

{#- The ids of the live loads whose rows raw no longer has. -#}
{% macro expired_loads(live) -%}
    {%- set query -%}
        select cast(coalesce(jsonb_agg(load_id order by load_id), '[]') as text)
        from {{ exact.load_log() }}
        where retired_at is not null and load_id in ({{ exact.load_ids(live) }})
    {%- endset -%}
    {{ return(exact.read_state(query)) }}
{%- endmacro %}
