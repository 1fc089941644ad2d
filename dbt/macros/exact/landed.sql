{#-
  Materialization `landed`: every landed row of a source once, typed, with its verdict in `_row_status`: accepted (the one
  row of its key), duplicate (another row of that key is later) or rejected (`_reject_rule` says why).

  The model's SQL types the raw rows and judges each by itself. This takes in new loads, drops the rows of loads that were
  replaced, and decides again who is the last of its key, for the keys that came or went.

  Config: `key`, `latest_by` (columns that decide before the order of landing), `feed`, `indexes`.
-#}
{% materialization landed, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type="table") %}
    {% set key = config.require("key") %}
    {% set latest_by = config.get("latest_by") or [] %}
    {% set feed = config.get("change_log") or key %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {% set state = locked_state(target) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set definition = definition_of(with_verdict(sql, key, latest_by), [config.require("source"), feed], state) %}
    {% set loads = load_changes() %}
    {% if existing is none or not existing.is_table or should_full_refresh() or not can_follow(definition, state) %}
        {#- The loads that were listed, and not one that is committed while this reads: it would be taken in a second time. -#}
        {% set listed = from_loads(sql, "_load_id in (" ~ load_ids(loads["live"]) ~ ")") %}
        {% do rebuild(existing, target, with_verdict(listed, key, latest_by), feed, state) %}
        {% do record_build(definition, state, feed, rebuilt=true) %}
        {% do execute_sql("delete from change_feed.consumed_loads where model = '" ~ model.name ~ "'") %}
        {% do record_loads(loads["live"], []) %}
    {% elif loads["new"] or loads["gone"] %}
        {% set changes = take_in(target, sql, key, latest_by, feed, loads, state) %}
        {% do record_build(definition, state, feed, changes=changes) %}
        {% do record_loads(loads["new"], loads["gone"]) %}
        {% do renew_indexes(target, state["indexes"]) %}
    {% else %}
        {% do nothing_to_write("nothing landed") %}
        {% do renew_indexes(target, state["indexes"]) %}
    {% endif %}
    {% do renew_descriptions(target, state["descriptions"]) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{#- The source's loads as [load_id, partition]: `live` all that count now, `new` not yet taken in, `gone` replaced since. -#}
{% macro load_changes() -%}
    {%- set query -%}
        select coalesce(l.load_id, c.load_id) as load_id, l._partition, l.load_id is not null as is_live, c.load_id is not null as is_consumed
        from (
            select load_id, landed_on || case origin when 'file' then '/files' else '' end as _partition
            from {{ source("raw", "loads") }}
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
        {% do execute_sql("delete from change_feed.consumed_loads where model = '" ~ model.name
            ~ "' and load_id in (" ~ dropped | map("first") | join(", ") ~ ")") %}
    {% endif %}
    {% if taken_in %}
        {% do execute_sql("insert into change_feed.consumed_loads (model, load_id) select '" ~ model.name
            ~ "', load_id from " ~ source("raw", "loads") ~ " where load_id in (" ~ taken_in | map("first") | join(", ") ~ ")") %}
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

{#- The query with the verdict over all its rows. The order has no ties, so the choice never depends on plan or order of landing. -#}
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

{#- Takes in the new loads. Returns the table that holds the changes, or none. -#}
{% macro take_in(target, sql, key, latest_by, feed, loads, state) -%}
    {% set keys = key | join(", ") %}
    {% set columns = state["columns"] | map("first") | reject("equalto", "_row_status") | list %}
    {% set names = columns | join(", ") %}
    {% set gone = load_ids(loads["gone"]) %}
    {% set new = load_ids(loads["new"]) %}
    {#- The partitions are named for the planner, which then reads no other. -#}
    {% set partitions = (loads["new"] | map(attribute=1) | unique | list + [""]) | join("', '") %}
    {% set fresh = from_loads(sql, "_partition in ('" ~ partitions ~ "') and _load_id in (" ~ new ~ ")") %}
    {% set contenders = "select " ~ names ~ " from held where _load_id not in (" ~ gone ~ ") union all select " ~ names ~ " from fresh" %}
    {#- `held`: the rows of these keys as the table has them; `judged`: the same keys and all fresh rows as they are to be. -#}
    {% set comparison %}
        create temporary table fresh on commit drop as (
        {{ fresh }}
        );
        analyze fresh;
        create temporary table keys on commit drop as
        select {{ keys }} from fresh where _reject_rule is null
        union
        select {{ keys }} from {{ target }} where _load_id in ({{ gone }}) and _reject_rule is null;
        analyze keys;
        create temporary table held on commit drop as
        select * from {{ target }} where ({{ keys }}) in (select {{ keys }} from keys) and _reject_rule is null;
        analyze held;
        create temporary table judged on commit drop as {{ with_verdict(contenders, key, latest_by) }};
        create temporary view outgoing as select * from held where _row_status = 'accepted';
        create temporary view incoming as select * from judged where _row_status = 'accepted';
        {#- Where a row stood is nothing that another model reads: the same row in a corrected file is no change. -#}
        {{ compare(state["columns"], key, kept=feed, without=["_row_status", "_load_id", "_file", "_line"]) }};
        drop view outgoing, incoming;
        select cast(jsonb_build_object('any', exists (select 1 from changed)) as text)
    {% endset %}
    {% set changed = read_state(comparison) %}
    {% call statement("main") %}
        delete from {{ target }} where _load_id in ({{ gone }});
        update {{ target }} as t
        set _row_status = j._row_status
        from judged as j
        inner join held as h
            on j._load_id = h._load_id and j._file = h._file and j._line = h._line and j._row_status <> h._row_status
        where t._load_id = j._load_id and t._file = j._file and t._line = j._line
            {%- for column in key %} and t.{{ column }} = j.{{ column }}{% endfor %};
        insert into {{ target }} ({{ names }}, _row_status)
        select {{ names }}, _row_status from judged where _load_id in ({{ new }})
    {% endcall %}
    {{ return("changed" if changed["any"] else none) }}
{%- endmacro %}
