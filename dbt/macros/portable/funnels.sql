{#-
  The event of `events` with which an attempt does the step of `steps`: event_id, event_type,
  is_milestone and event_timestamp, in at most one row. `attempt` has reached step `step` - 1. Its
  event is the first one of the step's type within the window that is not earlier than the previous
  step and is not a step already. In a strict funnel it is the user's very next event, if that has
  the step's type.

  The order of events with the same timestamp is unknown, and their identifiers do not show it.
  Among them, the event of the step's type counts first. The others at the moment of the first step
  may have happened before it. At the moment of a later step, they happened after the first step, so
  they come between two steps if another one follows.

  A milestone has the timestamp of the event that caused it. In a strict funnel it never comes
  between two steps: a milestone other than the step's own is skipped, and so are the events of its
  moment, unless one of them is the next step.

  This is a lookup for each attempt, because the planner's statistics know how many events a user
  has, and not how many attempts reach a step.
-#}
{% macro next_funnel_step(attempt, step, steps, events) -%}
    {{ adapter.dispatch("next_funnel_step")(attempt, step, steps, events) }}
{%- endmacro %}
{% macro postgres__next_funnel_step(attempt, step, steps, events) -%}
    cross join lateral (
        select
            candidates.event_id,
            candidates.event_type,
            candidates.is_milestone,
            candidates.event_timestamp
        from {{ events }} as candidates
        where
            candidates.user_id = {{ attempt }}.user_id
            and candidates.event_timestamp >= {{ attempt }}.reached_at_{{ step - 1 }}
            and candidates.event_timestamp <= {{ attempt }}.window_end
            and candidates.event_id not in (
                {%- for earlier in range(1, step) -%}
                    {{ attempt }}.event_id_{{ earlier }}{{ ", " if not loop.last }}
                {%- endfor -%}
            )
            and (
                candidates.event_type = {{ steps }}.event_type
                or (
                    {{ steps }}.mode = 'strict'
                    and not candidates.is_milestone
                    and (
                        candidates.event_timestamp > {{ attempt }}.reached_at_{{ step - 1 }}
                        or (
                            {{ attempt }}.reached_at_{{ step - 1 }} > {{ attempt }}.reached_at_1
                            and not {{ attempt }}.is_milestone_{{ step - 1 }}
                        )
                    )
                )
            )
        order by
            candidates.event_timestamp asc,
            (candidates.event_type = {{ steps }}.event_type) desc,
            candidates.is_milestone desc,
            candidates.event_id asc
        limit 1
    )
{%- endmacro %}
