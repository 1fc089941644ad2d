{#-
  Markers declare how a model is built incrementally. README.md documents each with an example.

  A marker renders to a comment next to a condition that is always true, so the compiled model is
  exactly its full definition: it can be read, run and compared as it is. To build an increment, the
  materializations replace the markers by conditions.
-#}

{#-
  Condition: the row belongs to an affected key. The columns stand for those of `rebuild_key`, in
  its order.
-#}
{% macro affected() -%}
    {%- set rebuild_key = config.get("rebuild_key") or varargs -%}
    {%- if rebuild_key | length != varargs | length -%}
        {{ exceptions.raise_compiler_error(
            "affected(" ~ varargs | join(", ") ~ ") names " ~ varargs | length
            ~ " columns, but the rebuild_key of " ~ model.name ~ " has " ~ rebuild_key | length
            ~ ": " ~ rebuild_key | join(", ")
        ) }}
    {%- endif -%}
    (true {{ exact.marker("affected", varargs | join("|")) }})
{%- endmacro %}

{#-
  Condition on the table `affected`, which has one row for each affected key: for reads of more rows
  than those of the key.
-#}
{% macro when_affected(condition) -%}
    (true {{ exact.marker("when_affected", condition) }})
{%- endmacro %}

{#- Condition for a `landed` model: the row belongs to a new load. -#}
{% macro newly_landed() -%}
    (true /*newly_landed*/)
{%- endmacro %}

{#-
  The keys that a change upstream affects, as a query: {% call exact.affected_when() %} select
  <rebuild key> from {{ exact.changes('upstream') }} {% endcall %}
-#}
{% macro affected_when() -%}
    {{ exact.marker("affected_when", caller() | trim) }}
{%- endmacro %}

{#-
  The simple case of affected_when: the change log of `upstream` has the rebuild key, in the columns
  `columns`.
-#}
{% macro affected_by(upstream, columns) -%}
    {%- set query = "select " ~ columns | join(", ") ~ " from " ~ exact.changes(upstream) -%}
    {{ exact.marker("affected_when", query) }}
{%- endmacro %}

{#-
  The part of an upstream model's change log that this model has not followed yet: a table named
  `changes`.
-#}
{% macro changes(upstream) -%}
    changes_of({{ upstream }})
{%- endmacro %}

{#-
  Condition in an affected_when that joins changes by their days: `day` is not before the first of
  these and not after the last. The join implies it, but this condition can use an index on `day`,
  so that one new version does not read the rows of the whole history. `first` and `last` are days;
  for a point in time, its day.
-#}
{% macro within_changed(
    upstream,
    day,
    first="changes.valid_from",
    last="coalesce(changes.valid_to, cast('9999-12-31' as date))"
) -%}
    {{ day }} >= (select min({{ first }}) from {{ exact.changes(upstream) }})
    and {{ day }} <= (select max({{ last }}) from {{ exact.changes(upstream) }})
{%- endmacro %}

{#-
  A comment that the materializations read. If it ended early, the rest of it would be lost.
-#}
{% macro marker(kind, text) -%}
    {%- if "*/" in text -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ": the text of " ~ kind ~ " contains */, which would end the marker."
            ~ " Write comments with -- there."
        ) }}
    {%- endif -%}
    /*{{ kind }} {{ text }}*/
{%- endmacro %}
