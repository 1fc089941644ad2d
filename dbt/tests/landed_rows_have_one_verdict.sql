{#-
  No row is lost, and none is doubled: the base model of a source holds all rows of its live loads,
  and no others. Each of them is accepted (and then in staging), a duplicate or rejected. The test
  returns the loads for which that is wrong.
-#}
{% set sources = landed_sources().keys() | list %}

with judged as (
    {% for source in sources %}
    select
        '{{ source }}' as source,
        _load_id as load_id,
        count(*) as rows_judged,
        count(
            case when _row_status in ('accepted', 'duplicate', 'rejected') then 1 end
        ) as rows_with_verdict
    from {{ ref('base_' ~ source) }}
    group by _load_id
    {{ "union all" if not loop.last }}
    {% endfor %}
),

live_loads as (
    select
        source,
        load_id,
        rows_landed
    from {{ loads_due() }} as loads
    where is_due and source in ({{ "'" ~ sources | join("', '") ~ "'" }})
)

select
    coalesce(live_loads.source, judged.source) as source,
    coalesce(live_loads.load_id, judged.load_id) as load_id,
    live_loads.rows_landed,
    judged.rows_judged,
    judged.rows_with_verdict
from live_loads
full join judged on live_loads.source = judged.source and live_loads.load_id = judged.load_id
where
    coalesce(live_loads.rows_landed, -1) <> coalesce(judged.rows_judged, 0)
    or judged.rows_judged <> judged.rows_with_verdict
