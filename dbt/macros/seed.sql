{#-
  Loads a seed as dbt does, but renders the placeholders of a row once. dbt calls a macro for each
  cell of the file, which takes a tenth of the time of a build with nothing to do.
-#}
{% macro postgres__load_csv_rows(model, agate_table) -%}
    {%- set columns = get_seed_column_quoted_csv(model, agate_table.column_names) -%}
    {%- set row = "(" ~ (["%s"] * (agate_table.column_names | length)) | join(", ") ~ ")" -%}
    {%- set statements = [] -%}
    {%- for rows in agate_table.rows | batch(get_batch_size()) -%}
        {%- set bindings = [] -%}
        {%- for cells in rows -%}
            {%- do bindings.extend(cells) -%}
        {%- endfor -%}
        {%- set sql -%}
            insert into {{ this.render() }} ({{ columns }}) values
            {{ ([row] * (rows | length)) | join(", ") }}
        {%- endset -%}
        {%- do adapter.add_query(sql, bindings=bindings, abridge_sql_log=True) -%}
        {%- do statements.append(sql) -%}
    {%- endfor -%}
    {{ return(statements[0]) }}
{%- endmacro %}
