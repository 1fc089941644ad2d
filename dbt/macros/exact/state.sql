{#-
  The change feed: who changed what, and who has consumed it. Tables of schema change_feed:
    models          one row for each exact model: the hashes of its definition and its shape, when it was last rebuilt whole,
                    its last change
    consumed        how far each model has followed each upstream
    consumed_loads  which loads of the raw layer each `landed` model has taken in
    loads_at_start  which loads counted when the run began that is or was the last: what a build answers for
    chosen_day      the day that was chosen to be "today", which model as_of reads
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
        {%- set models = exact_models() | map(attribute="name") | list -%}
        {%- set feeds = run_query("select model from change_feed.models where to_regclass('change_feed.' || model) is not null").columns[0].values() -%}
        delete from change_feed.consumed where model not in ('{{ models | join("', '") }}');
        {% for feed in feeds if feed in models -%}
        delete from change_feed.{{ feed }}
        where not exists (select 1 from change_feed.consumed as c where c.upstream = '{{ feed }}' and c.seq < _seq);
        {% endfor %}
    {%- endif -%}
{%- endmacro %}

{#- The models that keep a change feed. -#}
{% macro exact_models() -%}
    {{ return(graph.nodes.values() | selectattr("resource_type", "equalto", "model")
        | selectattr("config.materialized", "in", ["exact", "landed"]) | list) }}
{%- endmacro %}

{#- The feeds that tell of changes in `name`: its own, or, for a view, those of the exact models that it reads. -#}
{% macro feeds_of(name) -%}
    {%- set feeds = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == "model" and node.name == name -%}
        {%- if node.config.materialized in ("exact", "landed") -%}
            {%- do feeds.append(name) -%}
        {%- else -%}
            {%- for parent in node.depends_on.nodes if parent.startswith("model.") -%}
                {%- for feed in feeds_of(graph.nodes[parent].name) if feed not in feeds -%}{%- do feeds.append(feed) -%}{%- endfor -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(feeds) }}
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
{% macro lock_model() -%}
    {% call statement("lock") %}
        select pg_advisory_xact_lock(hashtextextended('exact model {{ this.schema }}.{{ this.identifier }}', 0))
    {% endcall %}
{%- endmacro %}

{#- Records in the model's own transaction what it is, how far it has followed, and that it changed at `seq`. -#}
{% macro record_build(definition, positions, seq, rebuilt) -%}
    {% set name = model.name %}
    {% call statement("record_build") %}
        {% if seq %}
        insert into change_feed.models (model, definition, rebuilt_seq, last_seq)
        values ('{{ name }}', '{{ definition }}', {{ seq }}, {{ seq }})
        on conflict (model) do update
        set definition = excluded.definition, last_seq = excluded.last_seq
            {%- if rebuilt %}, rebuilt_seq = excluded.rebuilt_seq{% endif %};
        {% endif %}
        {% if rebuilt %}delete from change_feed.consumed where model = '{{ name }}';{% endif %}
        {% for upstream, position in positions.items() %}
        insert into change_feed.consumed (model, upstream, seq) values ('{{ name }}', '{{ upstream }}', {{ position }})
        on conflict (model, upstream) do update set seq = excluded.seq;
        {% endfor %}
        select 1
    {% endcall %}
{%- endmacro %}

{#- How far each upstream has changed by now: {upstream: seq}. -#}
{% macro upstream_positions(upstreams) -%}
    {%- set positions = {} -%}
    {%- for upstream in upstreams -%}{%- do positions.update({upstream: 0}) -%}{%- endfor -%}
    {%- if upstreams -%}
        {%- for row in run_query("select model, last_seq from change_feed.models where model in ('" ~ upstreams | join("', '") ~ "')").rows -%}
            {%- do positions.update({row[0]: row[1] | int}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(positions) }}
{%- endmacro %}

{#- True if the table was built by this definition and every upstream still has the changes that came since. -#}
{% macro can_follow(definition, upstreams) -%}
    {%- set query -%}
        select
            exists (
                select 1 from change_feed.models where model = '{{ model.name }}' and definition = '{{ definition }}'
            )
            {%- for upstream in upstreams %}
            and exists (
                select 1
                from change_feed.consumed as c
                inner join change_feed.models as m on c.upstream = m.model
                where c.model = '{{ model.name }}' and c.upstream = '{{ upstream }}' and m.rebuilt_seq <= c.seq
            )
            {%- endfor %}
    {%- endset -%}
    {{ return(run_query(query).rows[0][0]) }}
{%- endmacro %}

{% macro next_seq() -%}
    {{ return(run_query("select nextval('change_feed.seq')").rows[0][0]) }}
{%- endmacro %}

{#-
  What a model is, as two hashes: of everything that its rows follow from (its own query, those of the views that it reads, and
  the rows of seeds, which have no change feed), and of the shape that its contract gives the table.
-#}
{% macro definition_of(sql, settings) -%}
    {%- set views = views_above(model.depends_on.nodes) -%}
    {%- if views -%}
        {%- set query -%}
            select string_agg(pg_get_viewdef(to_regclass(name)), ';' order by name)
            from unnest(array['{{ views | join("', '") }}']) as views (name)
        {%- endset -%}
        {%- set view_definitions = run_query(query).rows[0][0] -%}
    {%- endif -%}
    {%- set seed_rows = [] -%}
    {%- for seed in seeds_above(model.depends_on.nodes) -%}
        {%- do seed_rows.append(run_query("select md5(string_agg(cast(seed as text), ',' order by cast(seed as text))) from " ~ seed ~ " as seed").rows[0][0]) -%}
    {%- endfor -%}
    {{ return(local_md5(sql ~ tojson(settings) ~ (view_definitions or "") ~ seed_rows | join) ~ "/" ~ contract_shape()) }}
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

{% macro built_with_shape(shape) -%}
    {{ return(run_query("select exists (select 1 from change_feed.models where model = '" ~ model.name
        ~ "' and definition like '%/" ~ shape ~ "')").rows[0][0]) }}
{%- endmacro %}

{#- The columns of a table or temporary table, in order. -#}
{% macro columns_of(relation) -%}
    {{ return(run_query("select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = to_regclass('"
        ~ relation ~ "') and attnum > 0 and not attisdropped order by attnum").rows) }}
{%- endmacro %}
