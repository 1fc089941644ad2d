{#- Every period from the first active day to "today", with or without activity. -#}
{{ config(materialized='view') }}

{% set grains = ["day", "week", "month"] %}

with active_days as (
    select dates.*
    from {{ ref('dim_date') }} as dates
    where dates.date_day >= (select min(days.event_date) from {{ ref('int_user_days') }} as days)
)

{% for grain in grains -%}
select distinct
    '{{ grain }}' as grain,
    {{ "date_day" if grain == "day" else grain ~ "_start" }} as period_start
from active_days
{{ "union all" if not loop.last }}
{% endfor %}
