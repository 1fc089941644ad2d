{{
    config(
        rebuild_key=['user_id', 'feature'],
        change_log=['user_id', 'feature', 'first_date'],
        indexes=[{'columns': ['user_id', 'feature'], 'unique': true}, {'columns': ['first_date']}],
    )
}}

{% for feature in var("features") -%}
select
    user_id,
    '{{ feature }}' as feature,
    min(event_date) as first_date
from {{ ref('int_user_days') }}
where {{ feature }} > 0 and {{ exact.affected('user_id', "'" ~ feature ~ "'") }}
group by user_id
{{ "union all" if not loop.last }}
{% endfor %}

-- The keys that a change upstream affects: those with a use before the first known one, or on its
-- day, because the first one may have gone. Later uses change nothing.
{% for feature in var("features") %}
{% call exact.affected_when() %}
    select changes.user_id, '{{ feature }}'
    from {{ exact.changes('int_user_days') }}
    left join {{ ref('int_user_days') }} as days
        on changes.event_date = days.event_date and changes.user_id = days.user_id
    left join {{ this }} as held
        on changes.user_id = held.user_id and held.feature = '{{ feature }}'
    where
        changes.event_date = held.first_date
        or (days.{{ feature }} > 0 and held.first_date is null)
        or (days.{{ feature }} > 0 and changes.event_date < held.first_date)
{% endcall %}
{% endfor %}
