{{
    config(
        unit=['event_date', 'event_type'],
        feed=['event_type'],
        indexes=[{'columns': ['event_date', 'event_type'], 'unique': true}],
    )
}}

-- A type that may have come to a day.
{% call touched_when() %}
    select changes.event_date, changes.event_type
    from {{ changes('fact_events') }}
    where (changes.event_date, changes.event_type) not in (select held.event_date, held.event_type from {{ this }} as held)
{% endcall %}

-- A type of which nothing is left on a day. To find one event that is left costs little, to count them all a whole day.
{% call touched_when() %}
    select held.event_date, held.event_type
    from (
        select changes.event_date, changes.event_type
        from {{ changes('fact_events') }}
        intersect
        select event_date, event_type from {{ this }}
    ) as held
    left join lateral (
        select 1 as is_there
        from {{ ref('fact_events') }} as events
        where events.event_date = held.event_date and events.event_type = held.event_type
        limit 1
    ) as left_over on true
    where left_over.is_there is null
{% endcall %}

select distinct
    event_date,
    event_type
from {{ ref('fact_events') }}
where
    {{ touched('event_date', 'event_type') }}
    and {{ when_touched('event_date in (select event_date from touched)') }}
