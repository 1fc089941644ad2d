{{
    config(
        unit=['user_id'],
        feed=['user_id', 'first_date'],
        indexes=[{'columns': ['user_id'], 'unique': true}],
    )
}}

-- A day before the first one known, or that day itself, which may have gone. Later days decide nothing.
{% call touched_when() %}
    select changes.user_id
    from {{ changes('int_user_days') }}
    left join {{ this }} as held on changes.user_id = held.user_id
    where held.user_id is null or changes.event_date <= held.first_date
{% endcall %}

select
    user_id,
    min(event_date) as first_date
from {{ ref('int_user_days') }}
where {{ touched('user_id') }}
group by user_id
