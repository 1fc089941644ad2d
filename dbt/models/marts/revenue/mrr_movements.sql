{{
    config(
        rebuild_key=['month_start'],
        indexes=[{'columns': ['month_start', 'movement'], 'unique': true}],
    )
}}

select
    month_start,
    movement,
    cast(count(*) as integer) as customers,
    cast(sum(mrr_change - fx_change) as numeric(38, 4)) as amount,
    cast(sum(previous_mrr) as numeric(38, 4)) as opening_mrr,
    cast(sum(fx_change) as numeric(38, 4)) as fx_change,
    cast(sum(mrr) as numeric(38, 4)) as closing_mrr
from {{ ref('mrr') }}
where {{ exact.affected('month_start') }}
group by month_start, movement

-- The keys that a change upstream affects.
{{ exact.affected_by('mrr', ['month_start']) }}
