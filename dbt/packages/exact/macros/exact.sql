{#-
  Materialization `exact`: after every build, the table equals the result of its full definition on
  its upstreams, row for row. The cost depends on the keys that changes upstream have affected.
  README.md documents its config.
-#}
{% materialization exact, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type="table") %}
    {% set rebuild_key, window = config.require("rebuild_key"), config.get("window") %}
    {% set versions = [window["from"], window["to"]] if window else [] %}
    {% set change_log = config.get("change_log") or rebuild_key + versions %}
    {% set upstreams = exact.followed_upstreams(sql) %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {% set state = exact.locked_state(target, upstreams) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set is_table = existing is not none and existing.is_table %}
    {% set settings = [rebuild_key, change_log, window, config.get("compares_to")] %}
    {% set definition = exact.definition_of(sql, settings, state) %}
    {% set stays = is_table and not should_full_refresh()
        and exact.reaches_back(state, upstreams) %}
    {% if stays and state["definition"] == definition and exact.has_followed(state, upstreams) %}
        {% set changes = exact.follow(
            target, sql, rebuild_key, change_log, window, state, upstreams
        ) %}
        {% do exact.record_build(definition, state, change_log, upstreams, changes) %}
        {% do exact.renew_indexes(target, state["indexes"]) %}
    {% else %}
        {% set is_held = is_table or config.get("partition_by") %}
        {% set incoming = exact.hold_incoming(target, sql) if is_held else none %}
        {% if stays and exact.has_the_shape_of(incoming, state)
            and exact.keeps_its_change_log(incoming, change_log, rebuild_key, window) %}
            {% set changes = exact.recompute(
                target, incoming, rebuild_key, change_log, window, state
            ) %}
            {% do exact.record_build(
                definition, state, change_log, upstreams, changes, how="recomputed"
            ) %}
            {% do exact.renew_indexes(target, state["indexes"]) %}
        {% else %}
            {% do exact.rebuild(existing, target, sql, change_log, state, incoming) %}
            {% do exact.record_build(definition, state, change_log, upstreams, how="rebuilt") %}
        {% endif %}
    {% endif %}
    {% do apply_grants(target, config.get("grants"), should_revoke=false) %}
    {% do exact.renew_descriptions(target, state["descriptions"]) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{#-
  Rebuilds the affected keys. Returns the table or query that holds the changes, or none. The
  statements go to the database in few round trips: each costs dbt milliseconds, which in a small
  build is most of a model's time.
-#}
{% macro follow(target, sql, rebuild_key, change_log, window, state, upstreams) -%}
    {% set unchanged = exact.unchanged_since(state) %}
    {% if exact.follows_all(upstreams) and upstreams | reject("in", unchanged) | list == [] %}
        {% do exact.nothing_to_write("nothing affected") %}
        {{ return(none) }}
    {% endif %}
    {% set affected = exact.find_affected(target, sql, rebuild_key, state) %}
    {% if not affected["any"] %}
        {% do exact.nothing_to_write("nothing affected") %}
        {{ return(none) }}
    {% endif %}
    {% set columns = state["columns"] | map("first") | list %}
    {% set kept = columns if window else rebuild_key + change_log %}
    {% set months = affected["months"] if config.get("partition_by") else {} %}
    {% set read_months = affected["months"] if exact.reads_partitions() else {} %}
    {% set few = affected["are_few"] %}
    {% set comparison %}
        {{ exact.look_up() if few }}
        create temporary table outgoing on commit drop as
        select * from {{ target }}
        where {{ exact.in_keys("affected", rebuild_key, rebuild_key, months) }};
        {{ exact.let_planner_choose() if few and not config.get("index_lookup") }}
        create temporary table incoming on commit drop as (
        {{ exact.with_affected(sql, rebuild_key, read_months) }}
        );
        {{ exact.let_planner_choose() if few }}
        {{ exact.compare(state["columns"], rebuild_key, kept) }};
        select cast(jsonb_build_object('any', exists (select 1 from changed)) as text)
    {% endset %}
    {% if not exact.read_state(comparison)["any"] %}
        {% do exact.nothing_to_write("nothing changed") %}
        {{ return(none) }}
    {% endif %}
    {{ return(exact.write_changed(target, columns, rebuild_key, window, few, months)) }}
{%- endmacro %}

{#-
  Compares the table with the rows of its full definition, which `incoming` holds, and writes those
  that differ. Returns the table or query that holds the changes, or none. Unchanged rows stay where
  they are, and so do the model's change log and all views and grants on the table.
-#}
{% macro recompute(target, incoming, rebuild_key, change_log, window, state) -%}
    {% set columns = state["columns"] | map("first") | list %}
    {% set kept = columns if window else rebuild_key + change_log %}
    {% set comparison %}
        {{ exact.as_in_the_table(incoming, state) }}
        analyze incoming;
        create temporary view outgoing as select * from {{ target }};
        {{ exact.compare(state["columns"], rebuild_key, kept) }};
        drop view outgoing;
        select cast(jsonb_build_object('any', exists (select 1 from changed)) as text)
    {% endset %}
    {% if not exact.read_state(comparison)["any"] %}
        {% do exact.nothing_to_write("nothing changed") %}
        {{ return(none) }}
    {% endif %}
    {{ return(exact.write_changed(target, columns, rebuild_key, window)) }}
{%- endmacro %}

{#-
  Replaces the rows of the keys in the temporary table `changed` by those in `incoming`. Returns the
  table or query that holds the changes. `months` limit the partitions of the table that are read.
-#}
{% macro write_changed(target, columns, rebuild_key, window, few=false, months={}) -%}
    {% set keys, names = rebuild_key | join(", "), columns | join(", ") %}
    {% if config.get("partition_by") %}
        {% do exact.add_partitions(target, config.get("partition_by"), "changed") %}
    {% endif %}
    {% call statement("main") %}
        analyze changed ({{ keys }});
        analyze incoming ({{ keys }});
        {{ exact.look_up() if few }}
        delete from {{ target }}
        where {{ exact.in_keys("changed", rebuild_key, rebuild_key, months) }};
        {{ exact.let_planner_choose() if few }}
        insert into {{ target }} ({{ names }})
        select {{ names }} from incoming where ({{ keys }}) in (select {{ keys }} from changed)
    {% endcall %}
    {% set windows = exact.changed_windows(columns, rebuild_key, window) if window %}
    {{ return("(" ~ windows ~ ")" if window else "changed") }}
{%- endmacro %}

{#-
  Writes the keys affected since the last build into the temporary table `affected`. Returns whether
  there are `any`, and whether they `are_few` compared with the rows of the model's table. If a
  partitioned table is read or written, it also returns their `months`: for each date column of the
  rebuild key, the spans of consecutive months, {column: [[first day, day after]]}.
-#}
{% macro find_affected(target, sql, rebuild_key, state) -%}
    {%- set reads_months = config.get("partition_by") or exact.reads_partitions() -%}
    {%- set months = [] -%}
    {%- for column, type in state["columns"] if column in rebuild_key and type == "date" -%}
        {%- if reads_months -%}
            {%- set spans = exact.months_sql("affected", column) -%}
            {%- do months.append("'" ~ column ~ "', (" ~ spans ~ ")") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set query -%}
        create temporary table affected on commit drop as
        {{ exact.affected_keys(sql, rebuild_key) }};
        analyze affected;
        select cast(jsonb_build_object(
            'any', exists (select 1 from affected),
            'are_few', ({{ exact.are_few_sql("affected", target) }}),
            'months', jsonb_build_object({{ months | join(", ") }})
        ) as text)
    {%- endset -%}
    {{ return(exact.read_state(query)) }}
{%- endmacro %}

{#-
  The time in which another version, or none, is valid than before: the rows for the change log of a
  model with a window. `changed` has both sides of each version that differs. A version that is new
  or gone has its own window. A version that now ends at another moment has the time between its two
  ends. An open end is NULL.

      changed                             change log
      key  price  from        to          key  from        to
      p1   10     2026-01-01  open        p1   2026-02-01  open   the version ended on 2026-02-01
      p1   10     2026-01-01  2026-02-01                          and not at its open end
      p1   12     2026-02-01  open        p1   2026-02-01  open   the version is new
-#}
{% macro changed_windows(columns, rebuild_key, window) -%}
    {%- set start, end = window["from"], window["to"] -%}
    {%- set same_version = columns | reject("in", [end] + window["derived"]) | join(", ") -%}
    select
        {{ rebuild_key | join(", ") }},
        case when count(*) = 2 then min({{ end }}) else min({{ start }}) end as {{ start }},
        case when count(*) = count({{ end }}) then max({{ end }}) end as {{ end }}
    from changed
    group by {{ same_version }}
{%- endmacro %}

{#- The definition with the conditions of `affected` and `when_affected` in place. -#}
{% macro with_affected(sql, rebuild_key, months) -%}
    {%- set text = modules.re.sub("\\(true /\\*when_affected ([\\s\\S]*?)\\*/\\)", "(\\1)", sql) -%}
    {%- set ns = namespace(sql=text) -%}
    {%- for columns in modules.re.findall("\\(true /\\*affected (.*?)\\*/\\)", sql) | unique -%}
        {%- set condition = exact.in_keys("affected", rebuild_key, columns.split("|"), months) -%}
        {%- set marker = "(true /*affected " ~ columns ~ "*/)" -%}
        {%- set ns.sql = ns.sql | replace(marker, "(" ~ condition ~ ")") -%}
    {%- endfor -%}
    {{ return(ns.sql) }}
{%- endmacro %}

{#-
  Condition: the key in `columns` is in the temporary table `chosen`. It names the `months`, too, so
  that the planner skips the partitions of others. For a table without partitions, it would then
  expect too few rows. If the condition named the days, the planner would read all of each day
  instead of looking up the few keys that late rows affect.
-#}
{% macro in_keys(chosen, rebuild_key, columns, months) -%}
    {%- set keys = "select " ~ rebuild_key | join(", ") ~ " from " ~ chosen -%}
    {%- set conditions = ["(" ~ columns | join(", ") ~ ") in (" ~ keys ~ ")"] -%}
    {%- for name, spans in months.items() -%}
        {%- set column, alternatives = columns[rebuild_key.index(name)], [] -%}
        {%- for first, next in spans -%}
            {%- do alternatives.append(
                column ~ " >= '" ~ first ~ "' and " ~ column ~ " < '" ~ next ~ "'"
            ) -%}
        {%- endfor -%}
        {%- do conditions.append("(" ~ (alternatives or ["false"]) | join(" or ") ~ ")") -%}
    {%- endfor -%}
    {{ return(conditions | join(" and ")) }}
{%- endmacro %}

{#-
  The months of the days in a column of the temporary table `chosen`, as spans of consecutive
  months.
-#}
{% macro months_sql(chosen, column) -%}
    select coalesce(jsonb_agg(jsonb_build_array(first_day, day_after) order by first_day), '[]')
    from (
        select
            cast(min(month_start) as date) as first_day,
            cast(max(month_start) + interval '1 month' as date) as day_after
        from (
            select
                month_start,
                month_start - interval '1 month' * row_number() over (order by month_start) as span
            from (
                select distinct date_trunc('month', days.day) as month_start
                from (
                    select distinct cast({{ column }} as timestamp) as day
                    from {{ chosen }} where {{ column }} is not null
                ) as days
            ) as months
        ) as numbered
        group by span
    ) as spans
{%- endmacro %}

{#-
  Whether the keys in `chosen`, an analyzed temporary table, are few compared with the rows of the
  table.
-#}
{% macro are_few_sql(chosen, target) -%}
    select
        (
            select c.reltuples from pg_class as c where c.oid = to_regclass('pg_temp.{{ chosen }}')
        ) * 20 < sum(greatest(c.reltuples, 0))
    from pg_class as c
    where
        c.relkind = 'r'
        and c.oid in (
            select to_regclass('{{ target }}')
            union all
            select inhrelid from pg_inherits where inhparent = to_regclass('{{ target }}')
        )
{%- endmacro %}

{#-
  Makes the planner look up keys one by one, with the index that every model has on its rebuild key.
  For a partitioned table it assumes that a lookup searches each partition, and would read all rows
  to find a few.
-#}
{% macro look_up() -%}
    set local enable_hashjoin = off;
    set local enable_mergejoin = off;
    set local enable_seqscan = off;
{%- endmacro %}

{% macro let_planner_choose() -%}
    reset enable_hashjoin; reset enable_mergejoin; reset enable_seqscan;
{%- endmacro %}

{#- True if the model reads a partitioned table. -#}
{% macro reads_partitions() -%}
    {%- for parent in model.depends_on.nodes if parent.startswith("model.") -%}
        {%- if graph.nodes[parent].config.get("partition_by") -%}{{ return(true) }}{%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}

{#- The keys affected since the last build, as a query. -#}
{% macro affected_keys(sql, rebuild_key) -%}
    {%- set queries = [] -%}
    {%- for clause in modules.re.findall("/\\*affected_when ([\\s\\S]*?)\\*/", sql) -%}
        {%- set ns = namespace(query=clause) -%}
        {%- for upstream in modules.re.findall("changes_of\\((\\w+)\\)", clause) -%}
            {%- set name = exact.change_log_of(upstream) -%}
            {#- On one line, because a comment in the rule may name it. -#}
            {%- set news = "(select * from change_feed." ~ name ~ " where _seq > ("
                ~ "select c.seq from change_feed.consumed as c where c.model = '" ~ model.name
                ~ "' and c.upstream = '" ~ name ~ "')) as changes" -%}
            {%- set ns.query = ns.query | replace("changes_of(" ~ upstream ~ ")", news) -%}
        {%- endfor -%}
        {%- set columns = rebuild_key | join(", ") -%}
        {%- do queries.append("select * from (" ~ ns.query ~ "\n) as keys (" ~ columns ~ ")") -%}
    {%- endfor -%}
    {{ return(queries | join("\nunion\n")) }}
{%- endmacro %}

{#- The upstreams that have not changed since the model last followed them. -#}
{% macro unchanged_since(state) -%}
    {%- set unchanged = [] -%}
    {%- for upstream, seq in state["consumed"].items() if state["last_seq"].get(upstream) == seq -%}
        {%- do unchanged.append(upstream) -%}
    {%- endfor -%}
    {{ return(unchanged) }}
{%- endmacro %}

{#-
  True if everything that the model reads has a change log that the model follows, itself or through
  views. If none of it has changed, neither has the model. A source has no change log, and neither
  has a table that dbt does not know.
-#}
{% macro follows_all(upstreams) -%}
    {{ return(upstreams | length > 0 and exact.are_followed(model.depends_on.nodes, upstreams)) }}
{%- endmacro %}

{% macro are_followed(keys, upstreams) -%}
    {%- for key in keys if not key.startswith("seed.") and exact.name_of(key) not in upstreams -%}
        {%- set node = graph.nodes.get(key) -%}
        {%- if not node or node.config.materialized != "view"
            or not exact.are_followed(node.depends_on.nodes, upstreams) -%}
            {{ return(false) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(true) }}
{%- endmacro %}

{#-
  The models whose change logs this one follows. If it reads an exact upstream, and neither follows
  it nor compares with it, this is an error: its changes would be missed.
-#}
{% macro followed_upstreams(sql) -%}
    {%- set followed, compared = [], config.get("compares_to") or [] -%}
    {%- for upstream in modules.re.findall("changes_of\\((\\w+)\\)", sql) -%}
        {%- set name = exact.change_log_of(upstream) -%}
        {%- if name not in followed -%}{%- do followed.append(name) -%}{%- endif -%}
    {%- endfor -%}
    {%- for parent in model.depends_on.nodes if parent.startswith("model.") -%}
        {%- set read = exact.name_of(parent) -%}
        {%- set names = exact.change_logs_of(read) | reject("in", followed) | list -%}
        {%- if names and read not in compared -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ " reads " ~ read ~ " but does not say what a change of " ~ names[0]
                ~ " affects: add affected_by('" ~ names[0] ~ "', ...), or compare with it in"
                ~ " affected_when and name " ~ read ~ " in compares_to."
            ) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(followed) }}
{%- endmacro %}
