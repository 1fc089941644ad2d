{{
    config(
        rebuild_key=['event_date', 'event_type'],
        change_log=['event_type'],
        indexes=[{'columns': ['event_date', 'event_type'], 'unique': true}],
    )
}}

select distinct
    event_date,
    event_type
from {{ ref('fact_events') }}
where
    {{ exact.affected('event_date', 'event_type') }}
    and {{ exact.when_affected('event_date in (select event_date from affected)') }}

-- The keys that a change upstream affects: a type that may be new on a day.
{% call exact.affected_when() %}
    select changes.event_date, changes.event_type
    from {{ exact.changes('fact_events') }}
    where
        (changes.event_date, changes.event_type) not in (
            select held.event_date, held.event_type from {{ this }} as held
        )
{% endcall %}
-- A type that may have disappeared from a day: a user who had an event of it has none now. The
-- definition checks whether another user has one. Here, this check would read every changed day for
-- every type.
{% call exact.affected_when() %}
    select chosen.event_date, chosen.event_type
    from (
        select changes.event_date, changes.event_type, max(changes.user_id) as user_id
        from {{ exact.changes('fact_events') }}
        group by changes.event_date, changes.event_type
    ) as chosen
    left join lateral (
        select 1 as is_there
        from {{ ref('fact_events') }} as events
        where
            chosen.user_id = events.user_id
            and chosen.event_date = events.event_date
            and chosen.event_type = events.event_type
        limit 1
    ) as remaining on true
    where remaining.is_there is null
{% endcall %}
