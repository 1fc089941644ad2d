{{
    config(
        rebuild_key=['funnel_id', 'user_id', 'entry_date'],
        change_log=['funnel_id', 'entry_date'],
        indexes=[
            {'columns': ['funnel_id', 'entry_date', 'user_id', 'step_number'], 'unique': true},
            {'columns': ['user_id', 'entry_date']},
        ],
    )
}}

{% set steps, events = ref('int_funnel_steps'), ref('int_funnel_events') %}

with starts as (
    select
        events.*,
        steps.funnel_id,
        steps.mode,
        {{ plus_seconds('events.event_timestamp', '86400 * steps.window_days') }} as window_end
    from {{ events }} as events
    inner join {{ steps }} as steps on events.event_type = steps.event_type
    where
        (steps.step_number = 1 or (steps.mode = 'any' and steps.repetition = 1))
        and {{ exact.affected('steps.funnel_id', 'events.user_id', 'events.event_date') }}
        and {{ exact.when_affected(
            '(events.user_id, events.event_date) in (select user_id, entry_date from affected)'
        ) }}
),

{{ funnel_steps_reached(steps, events, var("funnel_steps")) }},

attempts as (
    select
        *,
        max(step_number) over (partition by funnel_id, user_id, event_id) as steps_reached,
        lag(reached_at) over (
            partition by funnel_id, user_id, event_id order by step_number
        ) as previous_at
    from reached
),

-- A user enters a funnel once a day: with the attempt that reaches the furthest step, or the first
-- of several such attempts.
ranked as (
    select
        *,
        dense_rank() over (
            partition by funnel_id, user_id, event_date
            order by steps_reached desc, event_timestamp asc, event_id asc
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

-- The keys that a change upstream affects: for an event that may start a funnel, its day.
{{ affected_by_versions(
    'int_user_plans', this, 'user_id', 'entered_at', ['funnel_id', 'user_id', 'entry_date']
) }}
{% call exact.affected_when() %}
    select steps.funnel_id, changes.user_id, changes.event_date
    from {{ exact.changes('int_funnel_events') }}
    inner join {{ steps }} as steps on changes.event_type = steps.event_type
    where steps.step_number = 1 or steps.mode = 'any'
{% endcall %}
-- For an event of any other step, and in a strict funnel for any event: the user's entries whose
-- window contains it. The index is used with the longest window, which does not depend on the
-- funnel. It is in days, plus one, because a day on which clocks change may have 23 hours.
{% set longest_window = "(select max(longest.window_days) + 1 from " ~ steps ~ " as longest)" %}
{% call exact.affected_when() %}
    select held.funnel_id, held.user_id, held.entry_date
    from {{ exact.changes('int_funnel_events') }}
    inner join {{ this }} as held on changes.user_id = held.user_id and held.step_number = 1
    inner join {{ steps }} as steps
        on
            held.funnel_id = steps.funnel_id
            and (
                changes.event_type = steps.event_type
                or (steps.mode = 'strict' and not changes.is_milestone)
            )
    where
        held.entry_date <= changes.event_date
        and held.entry_date >= {{ plus_days('changes.event_date', '-' ~ longest_window) }}
        and held.entry_date >= {{ day_of(
            plus_seconds('changes.event_timestamp', '-86400 * steps.window_days')
        ) }}
{% endcall %}
