{#-
  The state that the package keeps in the database: what each model changed, and which models have
  followed it. The tables are in the schema change_feed, whose name is older than the term change
  log:
    models          one row for each exact model: the hashes of its definition and its shape,
                    its last full rebuild, its last change
    consumed        how far each model has followed each upstream
    consumed_loads  the loads of the raw layer that each `landed` model has consumed
    views           the definition of each view, and the text that the database has of it
    <model>         the change log of the model: `_seq` and the columns of its config `change_log`
-#}

{#- For on-run-start: creates the tables that are missing. -#}
{% macro create_state() -%}
    {#-
      `create schema if not exists` requires a right on the database even if the schema exists.
    -#}
    do $$
    begin
        if to_regnamespace('change_feed') is null then create schema change_feed; end if;
    end $$;
    create sequence if not exists change_feed.seq;
    create table if not exists change_feed.models (
        model text primary key,
        definition text not null,
        rebuilt_seq bigint not null,
        last_seq bigint not null
    );
    create table if not exists change_feed.consumed (
        model text, upstream text, seq bigint not null, primary key (model, upstream)
    );
    create table if not exists change_feed.consumed_loads (
        model text, load_id bigint, primary key (model, load_id)
    );
    create table if not exists change_feed.views (
        view text primary key, query text not null, definition text not null
    );
{%- endmacro %}

{#-
  For on-run-end: deletes the changes that every model has followed, so that change logs hold days,
  and not the whole history.
-#}
{% macro prune_change_logs() -%}
    {%- if execute and flags.WHICH in ("build", "run") -%}
        {%- set models = exact.exact_models() -%}
        {%- set query -%}
            select model
            from change_feed.models
            where to_regclass('change_feed.' || model) is not null
        {%- endset -%}
        {%- set kept = run_query(query).columns[0].values() -%}
        delete from change_feed.consumed where model not in ('{{ models | join("', '") }}');
        {% for name in kept if name in models -%}
        delete from change_feed.{{ name }}
        where not exists (
            select 1 from change_feed.consumed as c where c.upstream = '{{ name }}' and c.seq < _seq
        );
        {% endfor %}
    {%- endif -%}
{%- endmacro %}

{#- The names of the models that keep a change log. -#}
{% macro exact_models() -%}
    {%- set names = [] -%}
    {%- for key in graph.nodes if key.startswith("model.") -%}
        {%- set node = graph.nodes[key] -%}
        {%- if node.config.materialized in ("exact", "landed") -%}
            {%- do names.append(node.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{#-
  The models whose change logs have the changes of `name`: itself or, for a view, the exact models
  that it reads. dbt makes a dictionary of a node at each lookup, so the nodes are not searched: a
  model of this model's own package is found by its key.
-#}
{% macro change_logs_of(name) -%}
    {%- set ns = namespace(node=graph.nodes.get("model." ~ model.package_name ~ "." ~ name)) -%}
    {%- if not ns.node -%}
        {%- for key in graph.nodes if key.startswith("model.") and exact.name_of(key) == name -%}
            {%- set ns.node = graph.nodes[key] -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set names = [] -%}
    {%- if ns.node and ns.node.config.materialized in ("exact", "landed") -%}
        {%- do names.append(name) -%}
    {%- elif ns.node -%}
        {%- for parent in ns.node.depends_on.nodes if parent.startswith("model.") -%}
            {%- for above in exact.change_logs_of(exact.name_of(parent)) if above not in names -%}
                {%- do names.append(above) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(names) }}
{%- endmacro %}

{#- The name of the model with this unique id. -#}
{% macro name_of(key) -%}
    {{ return(key.split(".")[-1]) }}
{%- endmacro %}

{#- The one model whose change log changes('name') stands for. -#}
{% macro change_log_of(name) -%}
    {%- set names = exact.change_logs_of(name) -%}
    {%- if names | length != 1 -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " follows the changes of '" ~ name ~ "', which has "
            ~ (names | join(" and ") or "no change log")
            ~ ": follow one model that is materialized as exact or landed, or a view on one."
        ) }}
    {%- endif -%}
    {{ return(names | first) }}
{%- endmacro %}

{#-
  Takes the model's lock until the end of the transaction: concurrent builds then wait for each
  other.
-#}
{% macro lock_sql() -%}
    select pg_advisory_xact_lock(
        hashtextextended('exact model {{ this.schema }}.{{ this.identifier }}', 0)
    )
{%- endmacro %}

{#-
  Takes the model's lock, and then reads everything that decides what the build does. It is one
  round trip to the database: most models in most builds have nothing to do, and each trip costs dbt
  milliseconds. `upstreams` are the models whose change logs the model follows. Returns:
    definition        the definition that built the table; none if it was never built
    view_definitions  those of the views that the model reads, as one text; or none
    seed_rows         a hash of the rows of each seed that it reads
    last_seq, rebuilt_seq, consumed   by upstream: its last change, its last full rebuild, and how
                      far the model has followed it
    columns           [name, type] of the table, in order
    indexes, descriptions   see renew_indexes, renew_descriptions
-#}
{% macro locked_state(target, upstreams=[]) -%}
    {%- set views = exact.views_above(model.depends_on.nodes) -%}
    {%- set seeds = exact.seeds_above(model.depends_on.nodes) -%}
    {%- set followed = "('" ~ (upstreams + [""]) | join("', '") ~ "')" -%}
    {%- set query -%}
        {{ exact.lock_sql() }};
        select cast(jsonb_build_object(
            'definition', (
                select definition from change_feed.models where model = '{{ model.name }}'
            ),
            'view_definitions', {% if views %}(
                select string_agg(pg_get_viewdef(to_regclass(name)), ';' order by name)
                from unnest(array['{{ views | join("', '") }}']) as views (name)
            ){% else %}null{% endif %},
            'seed_rows', jsonb_build_array(
                {%- for seed in seeds %}
                (
                    select md5(string_agg(cast(seed as text), ',' order by cast(seed as text)))
                    from {{ seed }} as seed
                )
                {%- if not loop.last %},{% endif -%}
                {%- endfor %}
            ),
            'last_seq', (
                select jsonb_object_agg(model, last_seq)
                from change_feed.models
                where model in {{ followed }}
            ),
            'rebuilt_seq', (
                select jsonb_object_agg(model, rebuilt_seq)
                from change_feed.models
                where model in {{ followed }}
            ),
            'consumed', (
                select jsonb_object_agg(upstream, seq)
                from change_feed.consumed
                where model = '{{ model.name }}'
            ),
            'columns', ({{ exact.columns_sql(target) }}),
            'indexes', ({{ exact.indexes_sql(target) }}),
            'descriptions', ({{ exact.descriptions_sql(target) }})
        ) as text)
    {%- endset -%}
    {%- set state = exact.read_state(query) -%}
    {%- for name in ("last_seq", "rebuilt_seq", "consumed", "indexes", "descriptions") -%}
        {%- if state[name] is none -%}{%- do state.update({name: {}}) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(state) }}
{%- endmacro %}

{#-
  True if each upstream still has all changes since the model last followed it, or the model never
  has.
-#}
{% macro reaches_back(state, upstreams) -%}
    {%- for upstream in upstreams -%}
        {%- set rebuilt = state["rebuilt_seq"].get(upstream) -%}
        {%- if rebuilt is none or rebuilt > state["consumed"].get(upstream, rebuilt) -%}
            {{ return(false) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(true) }}
{%- endmacro %}

{#-
  True if the model has followed each upstream before, so that it knows where to continue.
-#}
{% macro has_followed(state, upstreams) -%}
    {{ return(upstreams | reject("in", state["consumed"]) | list == []) }}
{%- endmacro %}

{#-
  Records the model's definition, how far it has followed each upstream, and its change if there was
  one, in the model's own transaction. `changes` is a table or query with the columns of the change
  log. `how` the model was built: it "followed" its upstreams, or was "recomputed" or "rebuilt". The
  last two computed the whole definition, and so included everything in their upstreams when the
  state was read.
-#}
{% macro record_build(definition, state, change_log, upstreams=[], changes=none, how="followed") -%}
    {% set name, statements, seq = model.name, [], "currval('change_feed.seq')" %}
    {% if changes or how == "rebuilt" %}
        {% do statements.append("select nextval('change_feed.seq')") %}
        {% do statements.append(
            "insert into change_feed.models (model, definition, rebuilt_seq, last_seq) values ('"
            ~ name ~ "', '" ~ definition ~ "', " ~ seq ~ ", " ~ seq
            ~ ") on conflict (model) do update set definition = excluded.definition,"
            ~ " last_seq = excluded.last_seq"
            ~ (", rebuilt_seq = excluded.rebuilt_seq" if how == "rebuilt" else "")
        ) %}
    {% elif how == "recomputed" %}
        {% do statements.append(
            "update change_feed.models set definition = '" ~ definition
            ~ "' where model = '" ~ name ~ "'"
        ) %}
    {% endif %}
    {% if changes %}
        {% set columns = change_log | join(", ") %}
        {% do statements.append(
            "insert into change_feed." ~ name ~ " (_seq, " ~ columns ~ ") select " ~ seq ~ ", "
            ~ columns ~ " from (select distinct " ~ columns ~ " from " ~ changes
            ~ " as changes) as news"
        ) %}
    {% endif %}
    {#-
      Including upstreams that it no longer follows: their change logs would be kept for it for
      ever.
    -#}
    {% if how != "followed" %}
        {% do statements.append("delete from change_feed.consumed where model = '" ~ name ~ "'") %}
    {% endif %}
    {% for upstream in upstreams %}
        {% set position = state["last_seq"].get(upstream, 0) %}
        {% if how != "followed" or state["consumed"].get(upstream) != position %}
            {% do statements.append(
                "insert into change_feed.consumed (model, upstream, seq) values ('" ~ name ~ "', '"
                ~ upstream ~ "', " ~ position
                ~ ") on conflict (model, upstream) do update set seq = excluded.seq"
            ) %}
        {% endif %}
    {% endfor %}
    {% if statements %}{% do exact.execute_sql(statements | join("; ")) %}{% endif %}
{%- endmacro %}

{#-
  Executes statements whose rows nobody reads. run_query would make a table of them with agate,
  which takes long.
-#}
{% macro execute_sql(sql) -%}
    {%- do adapter.execute(sql, auto_begin=true, fetch=false) -%}
{%- endmacro %}

{#-
  Executes statements, of which the last returns one JSON text, in the model's transaction. Unlike
  run_query, it begins the transaction if necessary.
-#}
{% macro read_state(statements) -%}
    {%- set response, table = adapter.execute(statements, auto_begin=true, fetch=true) -%}
    {{ return(fromjson(table.rows[0][0])) }}
{%- endmacro %}
