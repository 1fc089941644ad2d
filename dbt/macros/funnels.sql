{#-
  How users walk through funnels, for int_funnel_entries. `events` holds for each funnel the events of each user that can be steps
  of it, each with its number among those of its type (occurrence) and `event_key`, which is made of funnel, user, type and
  that number. One key, because for a join over all four a planner expects next to no rows. `steps` is int_funnel_steps.
-#}
{% macro funnel_event_key(funnel_id, user_id, event_type, occurrence) -%}
    {{ surrogate_key([funnel_id, user_id, event_type, occurrence]) }}
{%- endmacro %}

{#-
  From an event to the one with which a step can follow, by its number among those of the step's type (next_occurrence). In an
  ordered funnel that is the first that is not earlier, in a strict one the very next event; where any order will do it is
  the first for each step.
-#}
{% macro funnel_moves(events, steps) -%}
    select
        steps.step_number,
        steps.event_type as step_event_type,
        steps.repetition,
        events.event_key,
        min(case when events.event_type = steps.event_type then events.occurrence end) over (
            partition by steps.funnel_id, steps.step_number, events.user_id order by events.event_timestamp desc
            range between unbounded preceding and current row
        ) as next_occurrence
    from {{ steps }} as steps
    inner join {{ events }} as events on steps.funnel_id = events.funnel_id
    where
        (steps.mode = 'ordered' and events.event_type in (steps.previous_event_type, steps.event_type))
        or steps.mode = 'any'
    union all
    select
        steps.step_number,
        steps.event_type as step_event_type,
        steps.repetition,
        events.event_key,
        events.following_occurrence as next_occurrence
    from {{ steps }} as steps
    inner join {{ events }} as events
        on
            steps.funnel_id = events.funnel_id
            and steps.previous_event_type = events.event_type
            and steps.event_type = events.following_type
    where steps.mode = 'strict'
{%- endmacro %}

{#-
  Common table expressions reached_1, reached_2, ...: the attempts of `starts` that have got to the step, in the order of the
  funnel. No event is two steps: of a type that an earlier step has taken, a later event is needed. Taking the first that will
  do leaves the most to choose from for what follows.
-#}
{% macro funnel_steps_in_order(starts, moves, events, last_step) -%}
reached_1 as (
    select
        funnel_id,
        user_id,
        event_key as entry_key,
        window_end,
        event_timestamp as reached_at_1,
        event_key as event_key_1,
        event_type as event_type_1,
        occurrence as occurrence_1
    from {{ starts }}
    where mode <> 'any'
)
{%- for step in range(2, last_step + 1) %},

reached_{{ step }} as (
    select
        before.*,
        events.event_timestamp as reached_at_{{ step }},
        events.event_key as event_key_{{ step }},
        events.event_type as event_type_{{ step }},
        events.occurrence as occurrence_{{ step }}
    from reached_{{ step - 1 }} as before
    inner join {{ moves }} as moves
        on before.event_key_{{ step - 1 }} = moves.event_key and moves.step_number = {{ step }} and moves.next_occurrence is not null
    {%- set occurrence %}
        greatest(
            moves.next_occurrence
            {%- for earlier in range(1, step) -%}
            , case when before.event_type_{{ earlier }} = moves.step_event_type then before.occurrence_{{ earlier }} + 1 end
            {%- endfor -%}
        )
    {%- endset %}
    inner join {{ events }} as events
        on
            {{ funnel_event_key("before.funnel_id", "before.user_id", "moves.step_event_type", occurrence) }} = events.event_key
            and events.event_timestamp <= before.window_end
)
{%- endfor %}
{%- endmacro %}

{#-
  The steps that attempts have reached in any order: the n-th event of those that the funnel asks for is step n. Where it
  asks for a type twice, the first two count.
-#}
{% macro funnel_steps_in_any_order(starts, moves, events) -%}
    select
        starts.event_key as entry_key,
        row_number() over (
            partition by starts.event_key order by events.event_timestamp, events.event_id
        ) as step_number,
        events.event_timestamp as reached_at
    from {{ starts }} as starts
    inner join {{ moves }} as moves on starts.event_key = moves.event_key
    inner join {{ events }} as events
        on
            {{ funnel_event_key(
                "starts.funnel_id", "starts.user_id", "moves.step_event_type", "moves.next_occurrence + moves.repetition - 1"
            ) }} = events.event_key
            and events.event_timestamp <= starts.window_end
    where starts.mode = 'any'
{%- endmacro %}

{#- Every step that an attempt has reached: entry_key, step_number, reached_at. -#}
{% macro funnel_steps_reached(starts, moves, events, last_step) -%}
    {% for step in range(1, last_step + 1) -%}
    select
        entry_key,
        {{ step }} as step_number,
        reached_at_{{ step }} as reached_at
    from reached_{{ step }}
    union all
    {% endfor -%}
    {{ funnel_steps_in_any_order(starts, moves, events) }}
{%- endmacro %}
