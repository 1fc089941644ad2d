{#- What customers did in the last 30 days and in the 30 days before. -#}
{{ config(materialized='view') }}

{% set features = var("features") %}

with recent_days as (
    select
        days.*,
        days.event_date > {{ plus_days('today.as_of', -30) }} as is_recent
    from {{ ref('int_customer_days') }} as days
    cross join {{ ref('as_of') }} as today
    where
        days.event_date > (select {{ plus_days('as_of', -60) }} from {{ ref('as_of') }})
        and days.event_date <= (select as_of from {{ ref('as_of') }})
)

select
    customer_id,
    cast(sum(case when is_recent then events else 0 end) as bigint) as events,
    cast(sum(case when is_recent then 0 else events end) as bigint) as events_before,
    {% for feature in features -%}
    max(case when is_recent and {{ feature }} > 0 then 1 else 0 end) {{ "+" if not loop.last }}
    {%- if loop.last %} as features_used,{% endif %}
    {% endfor -%}
    max(event_date) as last_event_date
from recent_days
group by customer_id
