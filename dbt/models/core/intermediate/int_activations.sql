{{
    config(
        rebuild_key=['user_id'],
        change_log=['user_id', 'event_date'],
        indexes=[{'columns': ['user_id'], 'unique': true}],
    )
}}

with first_dates as (
    select
        user_id,
        min(first_date) as first_date
    from {{ ref('int_feature_adoption') }}
    where {{ exact.affected('user_id') }}
    group by user_id
),

first_uses as (
    select
        events.*,
        row_number() over (
            partition by events.user_id order by events.event_timestamp, events.event_id
        ) as position
    from first_dates
    inner join {{ ref('fact_events') }} as events
        on first_dates.user_id = events.user_id and first_dates.first_date = events.event_date
    where events.event_type in ({{ quoted(var("features")) }})
)

select
    'activated|' || user_id as event_id,
    user_id,
    'activated' as event_type,
    device,
    country,
    event_date,
    event_timestamp
from first_uses
where position = 1

-- The keys that a change upstream affects: on the day of the first use of any feature, another
-- event may be the first now. Later days change nothing.
{% call exact.affected_when() %}
    select uses.user_id
    from (
        select changes.user_id, changes.first_date
        from {{ exact.changes('int_feature_adoption') }}
        union
        select changes.user_id, changes.event_date
        from {{ exact.changes('fact_events') }}
        where changes.event_type in ({{ quoted(var("features")) }})
    ) as uses
    where
        not exists (
            select 1
            from {{ ref('int_feature_adoption') }} as earlier
            where uses.user_id = earlier.user_id and earlier.first_date < uses.first_date
        )
{% endcall %}
