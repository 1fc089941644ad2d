{{
    config(
        rebuild_key=['month_start', 'product_id'],
        indexes=[{'columns': ['month_start', 'product_id'], 'unique': true}],
    )
}}

with levels as (
    select
        product_id,
        {{ period_of('month', 'stock_date') }} as month_start,
        on_hand,
        received,
        inventory_value,
        row_number() over in_month as position_from_start,
        row_number() over backwards as position_from_end
    from {{ ref('fact_inventory_daily') }}
    where {{ within_affected('month', 'stock_date') }}
    window
        in_month as (
            partition by product_id, {{ period_of('month', 'stock_date') }} order by stock_date asc
        ),
        backwards as (
            partition by product_id, {{ period_of('month', 'stock_date') }} order by stock_date desc
        )
)

select
    product_id,
    month_start,
    cast(count(*) as integer) as days_counted,
    cast(sum(received) as bigint) as received_units,
    max(case when position_from_start = 1 then on_hand end) as first_units,
    max(case when position_from_start = 1 then inventory_value end) as first_value,
    max(case when position_from_end = 1 then on_hand end) as closing_units,
    max(case when position_from_end = 1 then inventory_value end) as closing_value
from levels
where {{ exact.affected('month_start', 'product_id') }}
group by product_id, month_start

-- The keys that a change upstream affects.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.stock_date') }}, changes.product_id
    from {{ exact.changes('fact_inventory_daily') }}
{% endcall %}
