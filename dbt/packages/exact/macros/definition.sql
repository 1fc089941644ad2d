{#- The definition of a model, as a hash that shows whether its table was built by another one. -#}

{#-
  Two hashes. One is of everything that determines the rows: the model's query, the views that it
  reads, and the rows of seeds, which have no change log. The other is of the shape that its
  contract gives the table.
-#}
{% macro definition_of(sql, settings, state) -%}
    {{ return(
        local_md5(
            exact.canonical(sql)
            ~ tojson(settings)
            ~ (state["view_definitions"] or "")
            ~ state["seed_rows"] | join
        ) ~ "/" ~ exact.contract_shape()
    ) }}
{%- endmacro %}

{#-
  The text of a query for its hash, which is the same for two spellings of the same query. Comments,
  white space and the name of the database are dropped, so that a renamed or restored database is
  not recomputed. Markers become the tokens {keys}, {where}, {new} and {changes}, and the rules are
  sorted: the names of the markers and of the package's macros and the order of the rules do not
  affect the rows. The tokens never change.

  Strings, quoted names and dollar quotes are kept as they are. A token is one of these, a word or
  number, a run of operators, or a single character. Comments may nest once. If they nest deeper,
  the query is used as it is written.
-#}
{% macro canonical(sql, database=none) -%}
    {%- set nested = "/\\*(?:[^*]|\\*(?!/))*\\*/" -%}
    {%- set comment = "--[^\\n]*|/\\*(?:[^*/]|\\*(?!/)|/(?!\\*)|" ~ nested ~ ")*\\*/" -%}
    {%- set in_database = "\"" ~ modules.re.escape(database or this.database) ~ "\"\\.(?=\")" -%}
    {%- set token = [
        "(?![eE]')[\\w.][\\w.$]*",
        "[eE]'(?:[^'\\\\]|\\\\[\\s\\S]|'')*'",
        "'(?:[^']|'')*'",
        "\"(?:[^\"]|\"\")*\"",
        "\\$((?:[^\\W\\d]\\w*)?)\\$[\\s\\S]*?\\$\\2\\$",
        "(?:(?!--|/\\*)[-+*/<>=~!@#%^&|`?:])+",
        "\\S",
    ] | join("|") -%}
    {%- set tokens = "(?:\\s+|" ~ comment ~ "|" ~ in_database ~ ")*(?:(" ~ token ~ ")|$)" -%}
    {%- set texts = [sql] + modules.re.findall("/\\*affected_when ([\\s\\S]*?)\\*/", sql) -%}
    {%- set canonical = [] -%}
    {%- for text in texts -%}
        {%- set text = text | replace("/*newly_landed*/", "{new}") -%}
        {%- set text = text | replace("changes_of(", "{changes}(") -%}
        {%- set text = modules.re.sub("/\\*affected (.*?)\\*/", "{keys \\1}", text) -%}
        {#-
          The line break ends a comment in the condition, which would continue after it otherwise.
        -#}
        {%- set condition = "/\\*when_affected ([\\s\\S]*?)\\*/" -%}
        {%- set text = modules.re.sub(condition, "{where \\1\n}", text) -%}
        {%- do canonical.append(modules.re.sub(tokens, "\\1 ", text) | trim) -%}
    {%- endfor -%}
    {%- set clauses = canonical[1:] | unique(case_sensitive=true) | sort(case_sensitive=true) -%}
    {%- set text = ([canonical[0]] + clauses) | join(" {or} ") -%}
    {{ return(sql if "*/" in text else text) }}
{%- endmacro %}

{#- The shape that the contract gives the table. Another shape needs another table. -#}
{% macro contract_shape() -%}
    {%- set shape = [model.constraints | string, config.get("partition_by")] -%}
    {%- for column in model.columns.values() -%}
        {%- do shape.append([column.name, column.data_type, column.constraints | string]) -%}
    {%- endfor -%}
    {{ return(local_md5(tojson(shape))) }}
{%- endmacro %}

{#- The seeds that a model reads, itself or through views. -#}
{% macro seeds_above(parents) -%}
    {%- set seeds = [] -%}
    {%- for parent in parents -%}
        {%- set node = graph.nodes.get(parent) -%}
        {%- if parent.startswith("seed.") and node.schema ~ "." ~ node.alias not in seeds -%}
            {%- do seeds.append(node.schema ~ "." ~ node.alias) -%}
        {%- elif parent.startswith("model.") and node.config.materialized == "view" -%}
            {%- for name in exact.seeds_above(node.depends_on.nodes) if name not in seeds -%}
                {%- do seeds.append(name) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(seeds | sort) }}
{%- endmacro %}

{#- The views between a model and the tables that it reads through them. -#}
{% macro views_above(parents) -%}
    {%- set views = [] -%}
    {%- for parent in parents if parent.startswith("model.") -%}
        {%- set node = graph.nodes[parent] -%}
        {%- if node.config.materialized == "view" -%}
            {%- set above = exact.views_above(node.depends_on.nodes) -%}
            {%- for name in [node.schema ~ "." ~ node.alias] + above if name not in views -%}
                {%- do views.append(name) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(views) }}
{%- endmacro %}
