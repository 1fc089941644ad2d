{#-
  The event of `events` with which an attempt (`attempt`, which has got to step `step` - 1) does the
  step of `steps`: event_id, event_type, is_milestone and event_timestamp, in at most one row. That
  is the first one of the step's type within the window that is not earlier than the step before and
  is no step already; in a strict funnel the user's very next event, if it is of that type.

  In which order the events of one moment came is not known, and their identifiers do not say. Of
  those of one moment the one of the step's type counts first. What else happened at the moment of
  the first step may have come before it; at that of a later step, it came after the first one, and
  so between two steps if another one follows.

  A milestone has the moment of the event that caused it. In a strict funnel it never comes between
  two steps: another than the step's own is passed over, and so are the events of its moment, unless
  one of them is the next step.

  A lookup for each attempt: how many events a user has is known from statistics, how many attempts
  get how far is not.
-#}
{% macro next_funnel_step(attempt, step, steps, events) -%}{{ adapter.dispatch("next_funnel_step")(attempt, step, steps, events) }}{%- endmacro %}
{% macro postgres__next_funnel_step(attempt, step, steps, events) -%}
    cross join lateral (
        select candidates.event_id, candidates.event_type, candidates.is_milestone, candidates.event_timestamp
        from {{ events }} as candidates
        where
            candidates.user_id = {{ attempt }}.user_id
            and candidates.event_timestamp >= {{ attempt }}.reached_at_{{ step - 1 }}
            and candidates.event_timestamp <= {{ attempt }}.window_end
            and candidates.event_id not in (
                {%- for earlier in range(1, step) %}{{ attempt }}.event_id_{{ earlier }}{{ ", " if not loop.last }}{% endfor -%}
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
