{#- Lets the package's `view` take the place of dbt's. -#}
{% materialization view, adapter="postgres" %}
    {{ return(exact.materialization_view_postgres()) }}
{% endmaterialization %}
