{#-
  What every base model shares: reading a raw table as text, and the rules that reject a row. A rule
  is a branch of the `case` that computes `_reject_rule`. The first one that holds names the reason,
  as <column>_<what is wrong>.

  The rules compare a typed column with its text, raw_<column>.
-#}

{#-
  The sources, and the columns that identify a row of each. Points in time in a key are not among
  them, because their text depends on the reader.
-#}
{% macro landed_sources() -%}
    {{ return({
        "events": ["event_id"],
        "users": ["user_id"],
        "customers": ["customer_id"],
        "products": ["product_id"],
        "subscriptions": ["subscription_id"],
        "orders": ["order_id"],
        "order_items": ["order_item_id"],
        "payments": ["payment_id"],
        "shipments": ["shipment_id"],
        "returns": ["return_id"],
        "inventory": ["product_id", "stock_date"],
        "sessions": ["session_id"],
        "ad_spend": ["spend_date", "channel", "campaign"],
        "fx_rates": ["rate_date", "currency"],
    }) }}
{%- endmacro %}

{#- These columns as one text, with an empty place for a NULL; NULL if all of them are NULL. -#}
{% macro key_of_row(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(cast(" ~ column ~ " as " ~ dbt.type_string() ~ "), '')") -%}
        {%- do parts.append("'|'") if not loop.last -%}
    {%- endfor -%}
    nullif({{ dbt.concat(parts) }}, '{{ "|" * (columns | length - 1) }}')
{%- endmacro %}

{#-
  The columns of a raw table whose rows landed as columns, as text: raw_<column>, of the loads that
  this build consumes.
-#}
{% macro landed_columns(relation, columns) -%}
    select
        {% for column in columns -%}
        {{ column_text(column) }} as raw_{{ column }},
        {% endfor -%}
        {{ columns_original(columns) }} as _original,
        {{ landing_of_row() }}
    from {{ relation }}
    where {{ exact.newly_landed() }}
    {{ evaluated_once() }}
{%- endmacro %}

{#-
  The fields of a raw table whose rows landed as JSON documents, as text: raw_<field>; `json_fields`
  stay JSON.
-#}
{% macro landed_documents(relation, fields, json_fields=[]) -%}
    select
        {% for field in fields -%}
        {{ document_text(field) }} as raw_{{ field }},
        {% endfor -%}
        {% for field in json_fields -%}
        {{ document_json(field) }} as raw_{{ field }},
        {% endfor -%}
        _doc as _original,
        {{ landing_of_row() }}
    from {{ relation }}
    where {{ exact.newly_landed() }}
    {{ evaluated_once() }}
{%- endmacro %}

{% macro landing_of_row() -%}
        {{ landed_on() }} as _landed_on,
        _file,
        _line,
        _load_id
{%- endmacro %}

{#- The origin of a row, and why it is rejected if it is: the last columns of every base model. -#}
{% macro verdict_columns() -%}
    _landed_on,
    _file,
    _line,
    _load_id,
    _reject_rule,
    case when _reject_rule is not null then cast(_original as text) end as _original
{%- endmacro %}

{#-
  A required value is missing: the column itself, or its text (raw_<column>) if it is typed.
-#}
{% macro reject_missing(columns) -%}
    {%- for column in columns %}
            when {{ column }} is null then '{{ column | replace("raw_", "") }}_missing'
    {%- endfor -%}
{%- endmacro %}

{#-
  The text of a key, cut to a length that is certainly too long: the values in an index are limited.
-#}
{% macro key_text(column) -%}
    left({{ column }}, 256)
{%- endmacro %}

{#- A key longer than any system makes; key_text has read its text. -#}
{% macro reject_too_long(columns) -%}
    {%- for column in columns %}
            when length({{ column }}) > 255 then '{{ column }}_too_long'
    {%- endfor -%}
{%- endmacro %}

{#- A value is present, but cannot be read as its type. -#}
{% macro reject_unreadable(columns) -%}
    {%- for column in columns %}
            when raw_{{ column }} is not null and {{ column }} is null
                then '{{ column }}_unreadable'
    {%- endfor -%}
{%- endmacro %}

{#-
  A currency is not in seeds/currencies.csv: an amount in an unknown currency means nothing.
-#}
{% macro reject_unknown_currency(columns) -%}
    {%- for column in columns %}
            when raw_{{ column }} is not null and {{ column }} is null then '{{ column }}_unknown'
    {%- endfor -%}
{%- endmacro %}

{#-
  A point in time is before all data, or after the day on which the row landed, with a day's
  tolerance for wrong clocks. Both are days in UTC, so that rejects do not depend on the reporting
  time zone.
-#}
{% macro reject_absurd_time(columns) -%}
    {%- for column in columns %}
            {{- reject_day(landing_day_of(column), column) }}
    {%- endfor -%}
{%- endmacro %}

{#- The same for columns that are days. -#}
{% macro reject_absurd_day(columns) -%}
    {%- for column in columns %}
            {{- reject_day(column, column) }}
    {%- endfor -%}
{%- endmacro %}

{% macro reject_day(day, column) %}
            when {{ day }} < cast('{{ var("earliest_day") }}' as date) then '{{ column }}_too_early'
            when {{ day }} > {{ plus_days('_landed_on', 1) }} then '{{ column }}_in_the_future'
{%- endmacro %}

{% macro reject_negative(columns) -%}
    {%- for column in columns %}
            when {{ column }} < 0 then '{{ column }}_negative'
    {%- endfor -%}
{%- endmacro %}

{% macro reject_not_positive(columns) -%}
    {%- for column in columns %}
            when {{ column }} <= 0 then '{{ column }}_not_positive'
    {%- endfor -%}
{%- endmacro %}

{#-
  The loads, with two more columns. is_due: the base models must hold its rows, because they have
  consumed it, or it was live when this run of dbt began. Rows that land during the run belong to
  the next one, so a landing at the same time makes no test fail. is_live: it is not superseded.
-#}
{% macro loads_due() -%}
    (
        select
            loads.*,
            loads.superseded_by is null as is_live,
            consumed.load_id is not null
            or (loads.superseded_by is null and at_start.load_id is not null) as is_due
        from {{ source('raw', 'loads') }} as loads
        left join change_feed.consumed_loads as consumed
            on loads.load_id = consumed.load_id and consumed.model = 'base_' || loads.source
        left join change_feed.loads_at_start as at_start on loads.load_id = at_start.load_id
    )
{%- endmacro %}
