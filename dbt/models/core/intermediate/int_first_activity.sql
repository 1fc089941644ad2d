{{
    config(
        unit=['user_id'],
        feed=['user_id', 'first_date'],
        indexes=[{'columns': ['user_id'], 'unique': true}],
    )
}}

{{ touched_by('int_user_days', ['user_id']) }}

select
    user_id,
    min(event_date) as first_date
from {{ ref('int_user_days') }}
where {{ touched('user_id') }}
group by user_id
