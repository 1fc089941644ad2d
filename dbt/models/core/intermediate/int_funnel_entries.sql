{{
    config(
        unit=['funnel_id', 'user_id', 'entry_date'],
        feed=['funnel_id', 'entry_date'],
        indexes=[
            {'columns': ['funnel_id', 'entry_date', 'user_id', 'step_number'], 'unique': true},
            {'columns': ['user_id', 'entry_date']},
        ],
    )
}}

-- An event with which a funnel may begin: its day.
{% call touched_when() %}
    select steps.funnel_id, changes.user_id, changes.event_date
    from {{ changes('int_funnel_events') }}
    inner join {{ ref('int_funnel_steps') }} as steps on changes.event_type = steps.event_type
    where steps.step_number = 1 or steps.mode = 'any'
{% endcall %}

-- Any other step, and in a strict funnel any event: the entries of the user in whose window it lies.
{% call touched_when() %}
    select held.funnel_id, held.user_id, held.entry_date
    from {{ changes('int_funnel_events') }}
    inner join {{ this }} as held on changes.user_id = held.user_id and held.step_number = 1
    inner join {{ ref('int_funnel_steps') }} as steps
        on held.funnel_id = steps.funnel_id and (changes.event_type = steps.event_type or steps.mode = 'strict')
    where
        held.entry_date <= changes.event_date
        and held.entry_date >= {{ day_of(plus_seconds('changes.event_timestamp', '-86400 * steps.window_days')) }}
{% endcall %}

{% call touched_when() %}
    select held.funnel_id, held.user_id, held.entry_date
    from {{ changes('int_user_plans') }}
    inner join {{ this }} as held on changes.user_id = held.user_id and {{ valid_at('changes', 'held.entered_at') }}
{% endcall %}

with steps as (
    select * from {{ ref('int_funnel_steps') }}
),

numbered as (
    select
        steps.funnel_id,
        steps.mode,
        events.*,
        {{ plus_seconds('events.event_timestamp', '86400 * steps.window_days') }} as window_end,
        row_number() over (
            partition by steps.funnel_id, events.user_id, events.event_type
            order by events.event_timestamp, events.event_id
        ) as occurrence
    from steps
    inner join {{ ref('int_funnel_events') }} as events
        on
            -- Once for each funnel: with the first of its steps of that type, or, in a strict one, with its first step.
            (steps.mode <> 'strict' and steps.event_type = events.event_type and steps.repetition = 1)
            or (steps.mode = 'strict' and steps.step_number = 1)
    -- A window of n days ends n days later or, where clocks change, on the day after.
    where {{ when_touched(
        "exists (select 1 from touched where touched.funnel_id = steps.funnel_id and touched.user_id = events.user_id"
        ~ " and events.event_date >= touched.entry_date"
        ~ " and events.event_date <= " ~ plus_days("touched.entry_date", "steps.window_days + 1") ~ ")"
    ) }}
),

events as (
    select
        *,
        {{ funnel_event_key('funnel_id', 'user_id', 'event_type', 'occurrence') }} as event_key,
        lead(event_type) over (
            partition by funnel_id, user_id order by event_timestamp, event_id
        ) as following_type,
        lead(occurrence) over (
            partition by funnel_id, user_id order by event_timestamp, event_id
        ) as following_occurrence
    from numbered
),

moves as (
    {{ funnel_moves('events', 'steps') }}
),

starts as (
    select events.*
    from events
    inner join steps on events.funnel_id = steps.funnel_id and steps.step_number = 1
    where
        (events.event_type = steps.event_type or events.mode = 'any')
        and {{ touched('events.funnel_id', 'events.user_id', 'events.event_date') }}
),

{{ funnel_steps_in_order('starts', 'moves', 'events', var("funnel_steps")) }},

reached as (
    {{ funnel_steps_reached('starts', 'moves', 'events', var("funnel_steps")) }}
),

attempts as (
    select
        starts.*,
        reached.step_number,
        reached.reached_at,
        max(reached.step_number) over (partition by reached.entry_key) as steps_reached,
        lag(reached.reached_at) over (partition by reached.entry_key order by reached.step_number) as previous_at
    from starts
    inner join reached on starts.event_key = reached.entry_key
),

-- A user enters a funnel once a day: with the attempt that goes furthest, and of those with the first.
ranked as (
    select
        *,
        dense_rank() over (
            partition by funnel_id, user_id, event_date order by steps_reached desc, event_timestamp, event_id
        ) as position
    from attempts
)

select
    ranked.funnel_id,
    ranked.user_id,
    ranked.event_date as entry_date,
    ranked.event_timestamp as entered_at,
    coalesce(ranked.device, 'unknown') as device,
    coalesce(ranked.country, 'unknown') as country,
    coalesce(plans.plan_id, 'none') as plan,
    cast(ranked.step_number as integer) as step_number,
    {{ seconds_between('ranked.previous_at', 'ranked.reached_at') }} as seconds_from_previous
from ranked
left join {{ ref('int_user_plans') }} as plans
    on ranked.user_id = plans.user_id and {{ valid_at('plans', 'ranked.event_timestamp') }}
where ranked.position = 1
