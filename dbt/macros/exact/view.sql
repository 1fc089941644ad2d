{#-
  Materialization `view`, in place of dbt's: a view that is what it should be is left alone. dbt's own makes each view anew in every
  build under another name, moves it into its place and drops the old one; what reads the view is dropped with it until it is built
  too, and two builds at once may take the same name.
-#}
{% materialization view, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set target = this.incorporate(type="view") %}
    {#- The contract is part of what it was made from: dbt compares it with the query when the view is made. -#}
    {% set name, query_hash = this.schema ~ "." ~ this.identifier, local_md5(sql ~ contract_shape()) %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {#- The database's text of the view is compared too: whoever has changed it by hand gets it back. -#}
    {% set query %}
        {{ lock_sql() }};
        select cast(jsonb_build_object(
            'is_built', exists (
                select 1
                from change_feed.views
                where view = '{{ name }}' and query = '{{ query_hash }}'
                    and definition = md5(pg_get_viewdef(to_regclass('{{ name }}')))
            ),
            'descriptions', ({{ descriptions_sql(name) }})
        ) as text)
    {% endset %}
    {% set state = read_state(query) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {#- dbt listed what there is before the lock was taken: another build may have made the view since. -#}
    {% if state["is_built"] %}
        {% do nothing_to_write("nothing changed") %}
    {% else %}
        {% do adapter.drop_relation(existing or target) %}
        {% call statement("main") %}
            {{ get_create_view_as_sql(target, sql) }}
        {% endcall %}
        {% do execute_sql("insert into change_feed.views (view, query, definition) select '" ~ name ~ "', '" ~ query_hash
            ~ "', md5(pg_get_viewdef(to_regclass('" ~ name ~ "'))) on conflict (view) do update set query = excluded.query, "
            ~ "definition = excluded.definition") %}
        {% do state.update({"descriptions": {}}) %}
    {% endif %}
    {% do apply_grants(target, config.get("grants"), should_revoke=false) %}
    {% do renew_descriptions(target, state["descriptions"] or {}) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}
