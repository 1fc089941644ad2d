{#-
  The change feed: who changed what, and who has consumed it. Tables of schema change_feed:
    models          one row for each exact model: the hashes of its definition and its shape, when it was last rebuilt whole,
                    its last change
    consumed        how far each model has followed each upstream
    consumed_loads  which loads of the raw layer each `landed` model has taken in
    loads_at_start  which loads counted when the run began that is or was the last: what a build answers for
    chosen_day      the day that was chosen to be "today", which model as_of reads
    views           what each view was made from, and what the database made of it
    <model>         the model's changes: `_seq` and the columns of its config `feed`
-#}

{% macro create_change_feed() -%}
    create sequence if not exists change_feed.seq;
    create table if not exists change_feed.models (
        model text primary key, definition text not null, rebuilt_seq bigint not null, last_seq bigint not null
    );
    create table if not exists change_feed.consumed (
        model text, upstream text, seq bigint not null, primary key (model, upstream)
    );
    create table if not exists change_feed.consumed_loads (
        model text, load_id bigint, primary key (model, load_id)
    );
    create table if not exists change_feed.loads_at_start (
        run_id text, load_id bigint, primary key (run_id, load_id)
    );
    create table if not exists change_feed.chosen_day (
        only_row boolean primary key default true check (only_row), as_of date
    );
    create table if not exists change_feed.views (
        view text primary key, query text not null, definition text not null
    );
    {% if execute -%}
        {#- Another try of a run of the pipeline goes on where the one before ended, and answers for the same loads. -#}
        {%- set run_id = env_var("PIPELINE_RUN_ID", invocation_id) | replace("'", "''") -%}
    delete from change_feed.loads_at_start where run_id <> '{{ run_id }}';
    insert into change_feed.loads_at_start (run_id, load_id)
    select '{{ run_id }}', load_id
    from {{ source("raw", "loads") }}
    where superseded_by is null and not exists (select 1 from change_feed.loads_at_start)
    on conflict do nothing;
    {%- endif %}
{%- endmacro %}

{#- Deletes what every consumer has followed, so that the feed holds days and not history. -#}
{% macro prune_change_feed() -%}
    {%- if execute and flags.WHICH in ("build", "run") -%}
        {%- set models = exact_models() -%}
        {%- set feeds = run_query("select model from change_feed.models where to_regclass('change_feed.' || model) is not null").columns[0].values() -%}
        delete from change_feed.consumed where model not in ('{{ models | join("', '") }}');
        {% for feed in feeds if feed in models -%}
        delete from change_feed.{{ feed }}
        where not exists (select 1 from change_feed.consumed as c where c.upstream = '{{ feed }}' and c.seq < _seq);
        {% endfor %}
    {%- endif -%}
{%- endmacro %}

{#- The names of the models that keep a change feed. -#}
{% macro exact_models() -%}
    {%- set names = [] -%}
    {%- for key in graph.nodes if key.startswith("model.") -%}
        {%- set node = graph.nodes[key] -%}
        {%- if node.config.materialized in ("exact", "landed") -%}{%- do names.append(node.name) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{#-
  The feeds that tell of changes in `name`: its own, or, for a view, those of the exact models that it reads. dbt makes a
  dictionary of a node each time that one is looked up, so they are not searched: a model of this package is found by its key.
-#}
{% macro feeds_of(name) -%}
    {%- set ns = namespace(node=graph.nodes.get("model." ~ model.package_name ~ "." ~ name)) -%}
    {%- if not ns.node -%}
        {%- for key in graph.nodes if key.startswith("model.") and name_of(key) == name -%}{%- set ns.node = graph.nodes[key] -%}{%- endfor -%}
    {%- endif -%}
    {%- set feeds = [] -%}
    {%- if ns.node and ns.node.config.materialized in ("exact", "landed") -%}
        {%- do feeds.append(name) -%}
    {%- elif ns.node -%}
        {%- for parent in ns.node.depends_on.nodes if parent.startswith("model.") -%}
            {%- for feed in feeds_of(name_of(parent)) if feed not in feeds -%}{%- do feeds.append(feed) -%}{%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(feeds) }}
{%- endmacro %}

{#- The name of the model with this unique id. -#}
{% macro name_of(key) -%}
    {{ return(key.split(".")[-1]) }}
{%- endmacro %}

{#- The one feed that changes('name') stands for. -#}
{% macro feed_of(name) -%}
    {%- set feeds = feeds_of(name) -%}
    {%- if feeds | length != 1 -%}
        {{ exceptions.raise_compiler_error(model.name ~ " follows the changes of '" ~ name ~ "', which has "
            ~ (feeds | join(" and ") or "no change feed") ~ ": follow one model that is materialized as exact or landed, or a view on one.") }}
    {%- endif -%}
    {{ return(feeds | first) }}
{%- endmacro %}

{#- Takes the model's lock until the end of the transaction: two builds at once then do the work one after the other. -#}
{% macro lock_sql() -%}
    select pg_advisory_xact_lock(hashtextextended('exact model {{ this.schema }}.{{ this.identifier }}', 0))
{%- endmacro %}

{#-
  Takes the model's lock, and then reads all that decides what is to be done. It is one trip to the database: most models of most
  builds have nothing to do, and each trip costs dbt milliseconds. `upstreams` are the feeds that the model follows. Returns:
    definition        what the table was built by; none where it was never built
    view_definitions  those of the views that the model reads, as one text; none where there are none
    seed_rows         a hash of the rows of each seed that it reads
    last_seq, rebuilt_seq, consumed   by upstream: its last change, when it was last rebuilt whole, how far the model has followed it
    columns           [name, type] of the table, in order
    indexes, descriptions   see renew_indexes, renew_descriptions
-#}
{% macro locked_state(target, upstreams=[]) -%}
    {%- set views, seeds = views_above(model.depends_on.nodes), seeds_above(model.depends_on.nodes) -%}
    {%- set followed = "('" ~ (upstreams + [""]) | join("', '") ~ "')" -%}
    {%- set query -%}
        {{ lock_sql() }};
        select cast(jsonb_build_object(
            'definition', (select definition from change_feed.models where model = '{{ model.name }}'),
            'view_definitions', {% if views %}(
                select string_agg(pg_get_viewdef(to_regclass(name)), ';' order by name)
                from unnest(array['{{ views | join("', '") }}']) as views (name)
            ){% else %}null{% endif %},
            'seed_rows', jsonb_build_array(
                {%- for seed in seeds %}
                (select md5(string_agg(cast(seed as text), ',' order by cast(seed as text))) from {{ seed }} as seed)
                {%- if not loop.last %},{% endif -%}
                {%- endfor %}
            ),
            'last_seq', (select jsonb_object_agg(model, last_seq) from change_feed.models where model in {{ followed }}),
            'rebuilt_seq', (select jsonb_object_agg(model, rebuilt_seq) from change_feed.models where model in {{ followed }}),
            'consumed', (select jsonb_object_agg(upstream, seq) from change_feed.consumed where model = '{{ model.name }}'),
            'columns', ({{ columns_sql(target) }}),
            'indexes', ({{ indexes_sql(target) }}),
            'descriptions', ({{ descriptions_sql(target) }})
        ) as text)
    {%- endset -%}
    {%- set state = read_state(query) -%}
    {%- for name in ("last_seq", "rebuilt_seq", "consumed", "indexes", "descriptions") if state[name] is none -%}
        {%- do state.update({name: {}}) -%}
    {%- endfor -%}
    {{ return(state) }}
{%- endmacro %}

{#-
  Records in the model's own transaction what it is, how far it has followed each upstream, and its change, if there was one: what the
  columns `feed` of `changes`, a table or query, hold.
-#}
{% macro record_build(definition, state, feed, upstreams=[], changes=none, rebuilt=false) -%}
    {% set name, statements, seq = model.name, [], "currval('change_feed.seq')" %}
    {% if changes or rebuilt %}
        {% do statements.append("select nextval('change_feed.seq')") %}
        {% do statements.append("insert into change_feed.models (model, definition, rebuilt_seq, last_seq) values ('" ~ name ~ "', '"
            ~ definition ~ "', " ~ seq ~ ", " ~ seq ~ ") on conflict (model) do update set definition = excluded.definition, "
            ~ "last_seq = excluded.last_seq" ~ (", rebuilt_seq = excluded.rebuilt_seq" if rebuilt else "")) %}
    {% endif %}
    {% if changes %}
        {% set columns = feed | join(", ") %}
        {% do statements.append("insert into change_feed." ~ name ~ " (_seq, " ~ columns ~ ") select " ~ seq ~ ", " ~ columns
            ~ " from (select distinct " ~ columns ~ " from " ~ changes ~ " as changes) as news") %}
    {% endif %}
    {% if rebuilt %}{% do statements.append("delete from change_feed.consumed where model = '" ~ name ~ "'") %}{% endif %}
    {% for upstream in upstreams %}
        {% set position = state["last_seq"].get(upstream, 0) %}
        {% if rebuilt or state["consumed"].get(upstream) != position %}
            {% do statements.append("insert into change_feed.consumed (model, upstream, seq) values ('" ~ name ~ "', '" ~ upstream ~ "', "
                ~ position ~ ") on conflict (model, upstream) do update set seq = excluded.seq") %}
        {% endif %}
    {% endfor %}
    {% if statements %}{% do execute_sql(statements | join("; ")) %}{% endif %}
{%- endmacro %}

{#- Executes statements whose rows nobody reads: for those of run_query dbt makes a table of agate, which takes a millisecond. -#}
{% macro execute_sql(sql) -%}
    {%- do adapter.execute(sql, auto_begin=true, fetch=false) -%}
{%- endmacro %}

{#-
  Executes statements of which the last gives one JSON text, in the model's transaction. Begins it where it has not begun, which
  run_query does not.
-#}
{% macro read_state(statements) -%}
    {%- set response, table = adapter.execute(statements, auto_begin=true, fetch=true) -%}
    {{ return(fromjson(table.rows[0][0])) }}
{%- endmacro %}

{#- True if the table was built by this definition and every upstream still has the changes that came since. -#}
{% macro can_follow(definition, state, upstreams=[]) -%}
    {%- set ns = namespace(can=state["definition"] == definition) -%}
    {%- for upstream in upstreams -%}
        {%- if upstream not in state["consumed"] or upstream not in state["rebuilt_seq"]
            or state["rebuilt_seq"][upstream] > state["consumed"][upstream] -%}
            {%- set ns.can = false -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ns.can) }}
{%- endmacro %}

{#-
  What a model is, as two hashes: of everything that its rows follow from (its own query, those of the views that it reads, and
  the rows of seeds, which have no change feed), and of the shape that its contract gives the table.
-#}
{% macro definition_of(sql, settings, state) -%}
    {{ return(local_md5(sql ~ tojson(settings) ~ (state["view_definitions"] or "") ~ state["seed_rows"] | join) ~ "/" ~ contract_shape()) }}
{%- endmacro %}

{#- The seeds that a model reads, itself or through views. -#}
{% macro seeds_above(parents) -%}
    {%- set seeds = [] -%}
    {%- for parent in parents -%}
        {%- set node = graph.nodes.get(parent) -%}
        {%- if parent.startswith("seed.") and node.schema ~ "." ~ node.alias not in seeds -%}
            {%- do seeds.append(node.schema ~ "." ~ node.alias) -%}
        {%- elif parent.startswith("model.") and node.config.materialized == "view" -%}
            {%- for name in seeds_above(node.depends_on.nodes) if name not in seeds -%}{%- do seeds.append(name) -%}{%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(seeds | sort) }}
{%- endmacro %}

{#- The views that models are read through, up to the next tables. -#}
{% macro views_above(parents) -%}
    {%- set views = [] -%}
    {%- for parent in parents if parent.startswith("model.") and graph.nodes[parent].config.materialized == "view" -%}
        {%- set node = graph.nodes[parent] -%}
        {%- for name in [node.schema ~ "." ~ node.alias] + views_above(node.depends_on.nodes) if name not in views -%}
            {%- do views.append(name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(views) }}
{%- endmacro %}

{% macro contract_shape() -%}
    {%- set shape = [model.constraints | string, config.get("partition_by")] -%}
    {%- for column in model.columns.values() -%}
        {%- do shape.append([column.name, column.data_type, column.constraints | string]) -%}
    {%- endfor -%}
    {{ return(local_md5(tojson(shape))) }}
{%- endmacro %}

{#- The columns of a table or temporary table, in order, as [name, type]. -#}
{% macro columns_of(relation) -%}
    {{ return(fromjson(run_query("select cast((" ~ columns_sql(relation) ~ ") as text)").rows[0][0])) }}
{%- endmacro %}

{% macro columns_sql(relation) -%}
    select coalesce(jsonb_agg(jsonb_build_array(attname, format_type(atttypid, atttypmod)) order by attnum), '[]')
    from pg_attribute
    where attrelid = to_regclass('{{ relation }}') and attnum > 0 and not attisdropped
{%- endmacro %}
