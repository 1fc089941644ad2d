{{
    config(
        rebuild_key=['user_id'],
        change_log=['user_id', 'first_date'],
        indexes=[{'columns': ['user_id'], 'unique': true}],
    )
}}

select
    user_id,
    min(event_date) as first_date
from {{ ref('int_user_days') }}
where {{ exact.affected('user_id') }}
group by user_id

-- The keys that a change upstream affects: those with a day before the first known one, or that day
-- itself, which may have gone. Later days change nothing.
{% call exact.affected_when() %}
    select changes.user_id
    from {{ exact.changes('int_user_days') }}
    left join {{ this }} as held on changes.user_id = held.user_id
    where held.user_id is null or changes.event_date <= held.first_date
{% endcall %}
