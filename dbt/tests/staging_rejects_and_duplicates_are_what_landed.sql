{#-
  For each source: rows in staging + rejects + duplicates = rows read from its files - rows that a
  mapping filtered. Records that could not land are among the rejects.
-#}
{% set sources = landed_sources().keys() | list %}

with delivered as (
    select
        source,
        -- Records that could not land are among the rejects as soon as their load is live.
        sum(
            case when is_due then rows_landed else 0 end
            + case when is_live then rows_rejected else 0 end
        ) as delivered_rows
    from {{ loads_due() }} as loads
    group by source
),

rejects as (
    select
        source,
        count(*) as rejected_rows
    from {{ ref('stg_rejects') }}
    group by source
),

staged as (
    {% for source in sources %}
    select
        '{{ source }}' as source,
        count(*) as staged_rows
    from {{ ref('stg_' ~ source) }}
    {{ "union all" if not loop.last }}
    {% endfor %}
),

duplicates as (
    {% for source in sources %}
    select
        '{{ source }}' as source,
        count(*) as duplicate_rows
    from {{ ref('base_' ~ source) }}
    where _row_status = 'duplicate'
    {{ "union all" if not loop.last }}
    {% endfor %}
)

select
    staged.source,
    coalesce(delivered.delivered_rows, 0) as delivered_rows,
    staged.staged_rows,
    duplicates.duplicate_rows,
    coalesce(rejects.rejected_rows, 0) as rejected_rows
from staged
inner join duplicates on staged.source = duplicates.source
left join delivered on staged.source = delivered.source
left join rejects on staged.source = rejects.source
where
    staged.staged_rows + duplicates.duplicate_rows + coalesce(rejects.rejected_rows, 0)
    <> coalesce(delivered.delivered_rows, 0)
