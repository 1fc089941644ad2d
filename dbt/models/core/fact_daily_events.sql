{{ config(rebuild_key=['event_date'], indexes=[{'columns': ['event_date'], 'unique': true}]) }}

{% set features = var("features") %}

with daily as (
    select
        event_date,
        sum(events) as total_events,
        count(*) as daily_active_users,
        sum(signup_events) as signup_events,
        {%- for feature in features %}
        sum({{ feature }}) as {{ feature }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ ref('int_user_days') }}
    where {{ exact.affected('event_date') }}
    group by event_date
)

select
    event_date,
    cast(total_events as integer) as total_events,
    cast(daily_active_users as integer) as daily_active_users,
    {{ ratio('total_events', 'daily_active_users') }} as events_per_user,
    cast(signup_events as integer) as signup_events,
    cast({{ features | join(" + ") }} as integer) as feature_usage_events,
    {%- for feature in features %}
    cast({{ feature }} as integer) as {{ feature }}{% if not loop.last %},{% endif %}
    {%- endfor %}
from daily

-- The keys that a change upstream affects.
{{ exact.affected_by('int_user_days', ['event_date']) }}
