{#-
  The package's view in place of dbt's. A package may not replace what dbt ships by itself: dbt
  takes a materialization of a package for a built-in one only where the root project says so, by
  this wrapper.
-#}
{% materialization view, adapter="postgres" %}
    {{ return(exact.materialization_view_postgres()) }}
{% endmaterialization %}
