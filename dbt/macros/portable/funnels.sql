{#-
  The event of `events` with which an attempt (`attempt`, which has got to step `step` - 1) does the step of `steps`: event_id,
  event_type and event_timestamp, in at most one row. That is the first one of the step's type within the window that is not
  earlier than the step before and is no step already; in a strict funnel the user's very next event, if it is of that type.

  A lookup for each attempt: how many events a user has is known from statistics, how many attempts get how far is not.
-#}
{% macro next_funnel_step(attempt, step, steps, events) -%}{{ adapter.dispatch("next_funnel_step")(attempt, step, steps, events) }}{%- endmacro %}
{% macro postgres__next_funnel_step(attempt, step, steps, events) -%}
    cross join lateral (
        select candidates.event_id, candidates.event_type, candidates.event_timestamp
        from {{ events }} as candidates
        where
            candidates.user_id = {{ attempt }}.user_id
            and candidates.event_timestamp >= {{ attempt }}.reached_at_{{ step - 1 }}
            and candidates.event_timestamp <= {{ attempt }}.window_end
            and case
                when {{ steps }}.mode = 'strict'
                    then (candidates.event_timestamp, candidates.event_id)
                        > ({{ attempt }}.reached_at_{{ step - 1 }}, {{ attempt }}.event_id_{{ step - 1 }})
                else candidates.event_type = {{ steps }}.event_type
                    and candidates.event_id not in (
                        {%- for earlier in range(1, step) %}{{ attempt }}.event_id_{{ earlier }}{{ ", " if not loop.last }}{% endfor -%}
                    )
            end
        order by candidates.event_timestamp, candidates.event_id
        limit 1
    )
{%- endmacro %}
