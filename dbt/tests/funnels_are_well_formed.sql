{#-
  A funnel has steps 1, 2, ... without gaps, no more than the models can follow, one mode and one
  window.
-#}
select
    funnel_id,
    count(*) as steps,
    min(mode) as mode,
    min(window_days) as window_days
from {{ ref('funnels') }}
group by funnel_id
having
    min(step_number) <> 1
    or max(step_number) <> count(*)
    or count(distinct step_number) <> count(*)
    or count(*) > {{ var("funnel_steps") }}
    or min(mode) <> max(mode)
    or min(lower(trim(mode))) not in ('ordered', 'strict', 'any')
    or min(window_days) <> max(window_days)
    or min(window_days) < 0
