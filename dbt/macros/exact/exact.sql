{#-
  Materialization `exact`: after every build the table is row for row what its full definition gives on what its upstreams
  hold, and the cost is that of the units which changes upstream have affected.

  Config: `unit` (the columns by which the model is rebuilt), `feed` (the columns its change feed carries; default: unit),
  `window` (for versions that are valid for a time: {from, to, derived}; the feed then tells for which time another version, or
  none, has become valid), `compares_to` (upstreams whose changes its affected_when finds by comparing, without a feed), `indexes`, `partition_by` (a date column of the unit: one partition a month),
  `index_lookup` (its exact upstreams, each with the columns by which few units are looked up there, and with which an index of it begins:
  the planner may then do nothing else in the definition).
  docs/explanation/exactness.md explains the mechanism, markers.sql what a model says of itself.
-#}
{% materialization exact, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type="table") %}
    {% set unit = config.require("rebuild_key") %}
    {% set window = config.get("window") %}
    {% set feed = config.get("change_log") or (unit + [window["from"], window["to"]] if window else unit) %}
    {% set upstreams = followed_upstreams(sql) %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {% set state = locked_state(target, upstreams) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set definition = definition_of(sql, [unit, feed, window, config.get("compares_to")], state) %}
    {% if existing is none or not existing.is_table or should_full_refresh() or not can_follow(definition, state, upstreams) %}
        {% do rebuild(existing, target, sql, feed, state) %}
        {% do record_build(definition, state, feed, upstreams, rebuilt=true) %}
    {% else %}
        {% set changes = follow(target, sql, unit, feed, window, state, upstreams) %}
        {% do record_build(definition, state, feed, upstreams, changes) %}
        {% do renew_indexes(target, state["indexes"]) %}
    {% endif %}
    {% do apply_grants(target, config.get("grants"), should_revoke=false) %}
    {% do renew_descriptions(target, state["descriptions"]) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{#-
  Rebuilds the affected units. Returns the table or query that holds the changes, or none. The statements go to the database in few trips:
  each costs dbt milliseconds, and in a small build that is most of a model's time.
-#}
{% macro follow(target, sql, unit, feed, window, state, upstreams) -%}
    {% if follows_all(upstreams) and upstreams | reject("in", unchanged_since(state)) | list == [] %}
        {% do nothing_to_write("nothing affected") %}
        {{ return(none) }}
    {% endif %}
    {% set units = unit | join(", ") %}
    {% set columns = state["columns"] | map("first") | list %}
    {% set affected = find_affected(target, sql, unit, state) %}
    {% if not affected["any"] %}
        {% do nothing_to_write("nothing affected") %}
        {{ return(none) }}
    {% endif %}
    {% set months = affected["months"] if config.get("partition_by") else {} %}
    {% set few = affected["are_few"] %}
    {% set comparison %}
        {{ look_up() if few }}
        create temporary table outgoing on commit drop as
        select * from {{ target }} where {{ in_units("affected", unit, unit, months) }};
        {{ let_planner_choose() if few and not config.get("index_lookup") }}
        create temporary table incoming on commit drop as (
        {{ with_affected(sql, unit, affected["months"] if reads_partitions() else {}) }}
        );
        {{ let_planner_choose() if few }}
        {{ compare(state["columns"], unit, kept=columns if window else unit + feed) }};
        select cast(jsonb_build_object('any', exists (select 1 from changed)) as text)
    {% endset %}
    {% if not read_state(comparison)["any"] %}
        {% do nothing_to_write("nothing changed") %}
        {{ return(none) }}
    {% endif %}
    {% if config.get("partition_by") %}{% do add_partitions(target, config.get("partition_by"), "affected") %}{% endif %}
    {% call statement("main") %}
        analyze changed ({{ units }});
        analyze incoming ({{ units }});
        {{ look_up() if few }}
        delete from {{ target }} where {{ in_units("changed", unit, unit, months) }};
        {{ let_planner_choose() if few }}
        insert into {{ target }} ({{ columns | join(", ") }})
        select {{ columns | join(", ") }} from incoming where ({{ units }}) in (select {{ units }} from changed)
    {% endcall %}
    {{ return("(" ~ changed_windows(columns, unit, window) ~ ")" if window else "changed") }}
{%- endmacro %}

{#-
  Puts the units affected since the last build into the temporary table `affected`. Returns whether there are `any`, whether they
  `are_few` beside the rows of the model's table, and the `months` that they lie in, where a partitioned table is read or written:
  for each date column of the unit the spans of months that follow each other, {column: [[first day, day after]]}.
-#}
{% macro find_affected(target, sql, unit, state) -%}
    {%- set reads_months = config.get("partition_by") or reads_partitions() -%}
    {%- set dates = [] -%}
    {%- for column, type in state["columns"] if reads_months and column in unit and type == "date" -%}{%- do dates.append(column) -%}{%- endfor -%}
    {%- set query -%}
        create temporary table affected on commit drop as {{ affected_keys(sql, unit) }};
        analyze affected;
        select cast(jsonb_build_object(
            'any', exists (select 1 from affected),
            'are_few', ({{ are_few_sql("affected", target) }}),
            'months', jsonb_build_object(
                {%- for column in dates %}'{{ column }}', ({{ months_sql("affected", column) }}){{ ", " if not loop.last }}{% endfor -%}
            )
        ) as text)
    {%- endset -%}
    {{ return(read_state(query)) }}
{%- endmacro %}

{#-
  For which time the valid version is another one. A version that came or went: its own window. A version that stayed and
  only ends at another moment: the time between the two ends. An open end is NULL.
-#}
{% macro changed_windows(columns, unit, window) -%}
    {%- set same_version = columns | reject("in", [window["to"]] + window["derived"]) | join(", ") -%}
    select
        {{ unit | join(", ") }},
        case when count(*) = 2 then min({{ window["to"] }}) else min({{ window["from"] }}) end as {{ window["from"] }},
        case when count(*) = count({{ window["to"] }}) then max({{ window["to"] }}) end as {{ window["to"] }}
    from changed
    group by {{ same_version }}
{%- endmacro %}

{#- The definition with the conditions of `affected` and `when_affected` put in. -#}
{% macro with_affected(sql, unit, months) -%}
    {%- set ns = namespace(sql=modules.re.sub("\\(true /\\*when_affected ([\\s\\S]*?)\\*/\\)", "(\\1)", sql)) -%}
    {%- for columns in modules.re.findall("\\(true /\\*affected (.*?)\\*/\\)", sql) | unique -%}
        {%- set ns.sql = ns.sql | replace("(true /*affected " ~ columns ~ "*/)", "(" ~ in_units("affected", unit, columns.split("|"), months) ~ ")") -%}
    {%- endfor -%}
    {{ return(ns.sql) }}
{%- endmacro %}

{#-
  Condition: the unit that stands in `columns` is one of the temporary table `chosen`. `months` are named besides: the planner then
  leaves out the partitions of others. Of a table without partitions it would expect too few rows. Were the days named, it would
  rather read all of each than look up the few units that late rows touch.
-#}
{% macro in_units(chosen, unit, columns, months) -%}
    {%- set conditions = ["(" ~ columns | join(", ") ~ ") in (select " ~ unit | join(", ") ~ " from " ~ chosen ~ ")"] -%}
    {%- for name, spans in months.items() -%}
        {%- set column, alternatives = columns[unit.index(name)], [] -%}
        {%- for first, next in spans -%}
            {%- do alternatives.append(column ~ " >= '" ~ first ~ "' and " ~ column ~ " < '" ~ next ~ "'") -%}
        {%- endfor -%}
        {%- do conditions.append("(" ~ (alternatives or ["false"]) | join(" or ") ~ ")") -%}
    {%- endfor -%}
    {{ return(conditions | join(" and ")) }}
{%- endmacro %}

{#- The months that the days in a column of the temporary table `chosen` lie in, as spans of months that follow each other. -#}
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
                from (select distinct cast({{ column }} as timestamp) as day from {{ chosen }} where {{ column }} is not null) as days
            ) as months
        ) as numbered
        group by span
    ) as spans
{%- endmacro %}

{#- Whether the units of the temporary table `chosen`, which is analyzed, are few beside the rows of the model's table. -#}
{% macro are_few_sql(chosen, target) -%}
    select
        (select c.reltuples from pg_class as c where c.oid = to_regclass('pg_temp.{{ chosen }}')) * 20
        < sum(greatest(c.reltuples, 0))
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
  Has units found one by one, by the index that every model has on its unit. Of a table with partitions the planner thinks that one
  lookup is a lookup in each, and would read all rows to find a few, however many have come together.
-#}
{% macro look_up() -%}
    set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_seqscan = off;
{%- endmacro %}

{% macro let_planner_choose() -%}
    reset enable_hashjoin; reset enable_mergejoin; reset enable_seqscan;
{%- endmacro %}

{#- True where the model reads a table that is partitioned. -#}
{% macro reads_partitions() -%}
    {%- for parent in model.depends_on.nodes if parent.startswith("model.") and graph.nodes[parent].config.get("partition_by") -%}
        {{ return(true) }}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}

{#- The units affected since the last build, as a query. -#}
{% macro affected_keys(sql, unit) -%}
    {%- set queries = [] -%}
    {%- for clause in modules.re.findall("/\\*affected_when ([\\s\\S]*?)\\*/", sql) -%}
        {%- set ns = namespace(query=clause) -%}
        {%- for upstream in modules.re.findall("changes_of\\((\\w+)\\)", clause) -%}
            {%- set feed = feed_of(upstream) -%}
            {%- set ns.query = ns.query | replace("changes_of(" ~ upstream ~ ")",
                "(select * from change_feed." ~ feed ~ " where _seq > (select c.seq from change_feed.consumed as c where c.model = '"
                ~ model.name ~ "' and c.upstream = '" ~ feed ~ "')) as changes") -%}
        {%- endfor -%}
        {%- do queries.append("select * from (" ~ ns.query ~ "\n) as units (" ~ unit | join(", ") ~ ")") -%}
    {%- endfor -%}
    {{ return(queries | join("\nunion\n")) }}
{%- endmacro %}

{#- The upstreams that have not changed since the model has followed them. -#}
{% macro unchanged_since(state) -%}
    {%- set unchanged = [] -%}
    {%- for upstream, seq in state["consumed"].items() if state["last_seq"].get(upstream) == seq -%}
        {%- do unchanged.append(upstream) -%}
    {%- endfor -%}
    {{ return(unchanged) }}
{%- endmacro %}

{#-
  True where everything that the model reads has a feed that it follows, itself or through views: where none of it has changed,
  neither has the model. A source has no feed, and neither has what dbt knows nothing of.
-#}
{% macro follows_all(upstreams) -%}
    {{ return(upstreams | length > 0 and are_followed(model.depends_on.nodes, upstreams)) }}
{%- endmacro %}

{% macro are_followed(keys, upstreams) -%}
    {%- for key in keys if not key.startswith("seed.") and name_of(key) not in upstreams -%}
        {%- set node = graph.nodes.get(key) -%}
        {%- if not node or node.config.materialized != "view" or not are_followed(node.depends_on.nodes, upstreams) -%}
            {{ return(false) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(true) }}
{%- endmacro %}

{#- The feeds that the model follows. An exact upstream that it reads but neither follows nor looks at would go stale: an error. -#}
{% macro followed_upstreams(sql) -%}
    {%- set followed = [] -%}
    {%- for upstream in modules.re.findall("changes_of\\((\\w+)\\)", sql) -%}
        {%- set feed = feed_of(upstream) -%}
        {%- if feed not in followed -%}{%- do followed.append(feed) -%}{%- endif -%}
    {%- endfor -%}
    {%- for parent in model.depends_on.nodes if parent.startswith("model.") -%}
        {%- set name = name_of(parent) -%}
        {%- for feed in feeds_of(name) if feed not in followed and name not in (config.get("compares_to") or []) -%}
            {{ exceptions.raise_compiler_error(model.name ~ " reads " ~ name ~ " but does not say what a change of " ~ feed
                ~ " touches: add affected_by('" ~ feed ~ "', ...), or look at it in affected_when and name " ~ name ~ " in compares_to.") }}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(followed) }}
{%- endmacro %}
