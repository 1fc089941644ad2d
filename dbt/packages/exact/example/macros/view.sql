{#- Replaces dbt's `view` by the package's. -#}
{% materialization view, adapter="postgres" %}
    {{ return(exact.materialization_view_postgres()) }}
{% endmaterialization %}
