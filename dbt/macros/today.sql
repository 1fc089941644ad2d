{#- The day that lies `days` days before "today", as a subquery, for tests of the newest rows. -#}
{% macro days_before_today(days) -%}
    (select {{ plus_days("today.as_of", -days) }} from {{ ref("as_of") }} as today)
{%- endmacro %}

{#-
  The last day of the calendar, which is "today" or the last one that something landed for, as a
  subquery. What is foreseen for a later day has not happened: a model that asks this follows the
  changes of dim_date.
-#}
{% macro last_day() -%}
    (select max(dates.date_day) from {{ ref("dim_date") }} as dates)
{%- endmacro %}

{#- The day that was chosen to be "today", as a subquery; NULL where none was. -#}
{% macro chosen_day() -%}
    (select chosen.as_of from change_feed.chosen_day as chosen)
{%- endmacro %}

{#-
  Writes down which day was chosen to be "today", or that none was. It is a row and no part of the
  view's text, which the definitions of models hold: another day then touches what depends on it,
  and rebuilds no model.
-#}
{% macro record_chosen_day() -%}
    {%- set chosen = env_var("DBT_AS_OF", "") or var("as_of") -%}
    insert into change_feed.chosen_day (as_of) values (cast(nullif('{{ chosen }}', '') as date))
    on conflict (only_row) do update set as_of = excluded.as_of
{%- endmacro %}
