{#- The day `days` days before "today", as a subquery, for tests of the newest rows. -#}
{% macro days_before_today(days) -%}
    (select {{ plus_days("today.as_of", -days) }} from {{ ref("as_of") }} as today)
{%- endmacro %}

{#-
  The last day of the calendar, as a subquery: "today", or the last landed day if that is later.
  Anything planned for a later day has not happened. A model that uses this follows dim_date.
-#}
{% macro last_day() -%}
    (select max(dates.date_day) from {{ ref("dim_date") }} as dates)
{%- endmacro %}

{#- The day that was chosen to be "today", as a subquery; NULL if none was. -#}
{% macro chosen_day() -%}
    (select chosen.as_of from change_feed.chosen_day as chosen)
{%- endmacro %}

{#-
  Records the day that was chosen to be "today", or that none was. It is a row, and not a part of
  the view's text, which belongs to the definitions of models. Another day then affects the rows
  that depend on it, and does not rebuild whole models.
-#}
{% macro record_chosen_day() -%}
    {%- set chosen = env_var("DBT_AS_OF", "") or var("as_of") -%}
    insert into change_feed.chosen_day (as_of) values (cast(nullif('{{ chosen }}', '') as date))
    on conflict (only_row) do update set as_of = excluded.as_of
{%- endmacro %}
