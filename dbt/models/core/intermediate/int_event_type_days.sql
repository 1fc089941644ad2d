{{
    config(
        unit=['event_date', 'event_type'],
        feed=['event_type'],
        indexes=[{'columns': ['event_date', 'event_type'], 'unique': true}],
    )
}}

-- A type that has come to a day.
{% call touched_when() %}
    select events.event_date, events.event_type
    from {{ changes('fact_events') }}
    inner join {{ ref('fact_events') }} as events
        on changes.event_date = events.event_date and changes.user_id = events.user_id
    where (events.event_date, events.event_type) not in (select held.event_date, held.event_type from {{ this }} as held)
{% endcall %}

-- A type of which nothing is left on a day. To find one event that is left costs little, to count them all a whole day.
{% call touched_when() %}
    select held.event_date, held.event_type
    from {{ this }} as held
    left join lateral (
        select 1 as is_there
        from {{ ref('fact_events') }} as events
        where events.event_date = held.event_date and events.event_type = held.event_type
        limit 1
    ) as left_over on true
    where held.event_date in (select changes.event_date from {{ changes('fact_events') }}) and left_over.is_there is null
{% endcall %}

select distinct
    event_date,
    event_type
from {{ ref('fact_events') }}
where
    {{ touched('event_date', 'event_type') }}
    and {{ when_touched('event_date in (select event_date from touched)') }}
