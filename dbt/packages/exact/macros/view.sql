{#-
  Materialization `view`, in place of dbt's: a view that is what it should be is left alone. dbt's
  own makes each view again in every build under another name, moves it into its place and drops the
  old one; what reads the view is dropped with it until it is built too, and two builds at once may
  take the same name. dbt takes it from this package only where the root project has a wrapper for
  it: README.md shows it.
-#}
{% materialization view, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type="view") %}
    {% set name = this.schema ~ "." ~ this.identifier %}
    {#-
      The contract is part of what it was made from: dbt compares it with the query when the view is
      made.
    -#}
    {% set query_hash = local_md5(exact.canonical(sql) ~ exact.contract_shape()) %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {#-
      The database's text of the view is compared too: one that was changed by hand is put right.
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
      dbt listed what there is before the lock was taken: another build may have made the view
      since.
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
  Whether the view is what the database would make of the query now: a definition that was only
  written in another way drops neither the view nor what reads it.
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
