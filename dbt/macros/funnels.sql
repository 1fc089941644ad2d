{#-
  Common table expressions for int_funnel_entries. The last one is `reached`: the steps that each
  attempt of `starts` reaches, with step_number and reached_at. `steps` and `events` are
  int_funnel_steps and int_funnel_events.
-#}
{% macro funnel_steps_reached(steps, events, last_step) -%}
{%- set entry = "funnel_id, user_id, event_id, event_date, event_timestamp, device, country" -%}
reached_1 as (
    select
        *,
        event_id as event_id_1,
        is_milestone as is_milestone_1,
        event_timestamp as reached_at_1
    from starts
    where mode <> 'any'
),

-- One step after the other. The first event that fits leaves the largest choice for later steps.
{% for step in range(2, last_step + 1) -%}
reached_{{ step }} as (
    select
        attempts.*,
        found.event_id as event_id_{{ step }},
        found.is_milestone as is_milestone_{{ step }},
        found.event_timestamp as reached_at_{{ step }}
    from reached_{{ step - 1 }} as attempts
    inner join {{ steps }} as steps
        on attempts.funnel_id = steps.funnel_id and steps.step_number = {{ step }}
    {{ next_funnel_step('attempts', step, 'steps', events) }} as found
    where found.event_type = steps.event_type
),

{% endfor -%}

-- If the steps may come in any order, the n-th of the events that the funnel needs is step n.
wanted as (
    select
        starts.*,
        events.event_timestamp as reached_at,
        events.event_id as reached_id,
        steps.repetitions,
        row_number() over (
            partition by starts.funnel_id, starts.user_id, starts.event_id, events.event_type
            order by events.event_timestamp, events.event_id
        ) as repetition
    from starts
    inner join (
        select
            funnel_id,
            event_type,
            max(repetition) as repetitions
        from {{ steps }}
        group by funnel_id, event_type
    ) as steps on starts.funnel_id = steps.funnel_id
    inner join {{ events }} as events
        on
            starts.user_id = events.user_id
            and steps.event_type = events.event_type
            and events.event_timestamp >= starts.event_timestamp
            and events.event_timestamp <= starts.window_end
    where starts.mode = 'any'
),

reached as (
    {% for step in range(1, last_step + 1) -%}
    select
        {{ entry }},
        {{ step }} as step_number,
        reached_at_{{ step }} as reached_at
    from reached_{{ step }}
    union all
    {% endfor -%}
    select
        {{ entry }},
        row_number() over (
            partition by funnel_id, user_id, event_id order by reached_at, reached_id
        ) as step_number,
        reached_at
    from wanted
    where repetition <= repetitions
)
{%- endmacro %}
