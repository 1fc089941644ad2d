{#-
  Replaces dbt's view by the package's. A package cannot do so by itself: dbt uses a package's
  materialization instead of a built-in one only if the root project has such a wrapper.
-#}
{% materialization view, adapter="postgres" %}
    {{ return(exact.materialization_view_postgres()) }}
{% endmaterialization %}
