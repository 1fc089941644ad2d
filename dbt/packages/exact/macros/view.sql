{#-
  Materialization `view`, which replaces dbt's: it does not change a view that is up to date. dbt's
  own creates each view again in every build under another name, renames it and drops the old one.
  Dependent views are dropped with it until they are built, too, and concurrent builds may use the
  same name. dbt uses the materialization of this package only if the root project has a wrapper for
  it: README.md shows it.
-#}
{% materialization view, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type="view") %}
    {% set name = this.schema ~ "." ~ this.identifier %}
    {#-
      The contract is part of the view's definition: dbt compares it with the query when it creates
      the view.
    -#}
    {% set query_hash = local_md5(exact.canonical(sql) ~ exact.contract_shape()) %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {#-
      The database's text of the view is compared, too: a view that was changed by hand is restored.
    -#}
    {% set query %}
        {{ exact.lock_sql() }};
        select cast(jsonb_build_object(
            'is_there', to_regclass('{{ name }}') is not null,
            'is_built', exists (
                select 1
                from change_feed.views
                where view = '{{ name }}' and query = '{{ query_hash }}'
                    and definition = md5(pg_get_viewdef(to_regclass('{{ name }}')))
            ),
            'descriptions', ({{ exact.descriptions_sql(name) }})
        ) as text)
    {% endset %}
    {% set state = exact.read_state(query) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {#-
      dbt listed the relations before this build took the lock: another build may have created the
      view since.
    -#}
    {% if state["is_built"] %}
        {% do exact.nothing_to_write("nothing changed") %}
    {% else %}
        {% if state["is_there"] and exact.is_view_of(name, sql) %}
            {% do exact.nothing_to_write("nothing changed") %}
        {% else %}
            {% do adapter.drop_relation(existing or target) %}
            {% call statement("main") %}
                {{ get_create_view_as_sql(target, sql) }}
            {% endcall %}
            {% do state.update({"descriptions": {}}) %}
        {% endif %}
        {% do exact.execute_sql(
            "insert into change_feed.views (view, query, definition) select '" ~ name ~ "', '"
            ~ query_hash ~ "', md5(pg_get_viewdef(to_regclass('" ~ name ~ "')))"
            ~ " on conflict (view) do update set"
            ~ " query = excluded.query, definition = excluded.definition"
        ) %}
    {% endif %}
    {% do apply_grants(target, config.get("grants"), should_revoke=false) %}
    {% do exact.renew_descriptions(target, state["descriptions"] or {}) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{#-
  Whether the view equals what the database would make of the query now: a definition that is only
  written differently drops neither the view nor its dependents.
-#}
{% macro is_view_of(name, sql) -%}
    {%- if config.get("contract").enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
    {%- set query -%}
        create temporary view wanted as (
        {{ sql }}
        );
        select cast(to_jsonb(coalesce(
            pg_get_viewdef('pg_temp.wanted'::regclass) = pg_get_viewdef('{{ name }}'::regclass),
            false
        )) as text)
    {%- endset -%}
    {%- set is_the_same = exact.read_state(query) -%}
    {%- do exact.execute_sql("drop view pg_temp.wanted") -%}
    {{ return(is_the_same) }}
{%- endmacro %}
