{#- Every order line in staging is a fact, or waits for an order that has not landed. -#}
with staged as (
    select
        count(*) as staged_items,
        count(case when orders.order_id is null then 1 end) as items_without_order
    from {{ ref('stg_order_items') }} as items
    left join {{ ref('stg_orders') }} as orders on items.order_id = orders.order_id
),

facts as (
    select count(*) as fact_items from {{ ref('fact_order_items') }}
)

select
    staged.staged_items,
    staged.items_without_order,
    facts.fact_items
from staged
cross join facts
where facts.fact_items + staged.items_without_order <> staged.staged_items
