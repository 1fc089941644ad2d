{{
    config(
        rebuild_key=['order_id'],
        change_log=['order_id', 'order_date'],
        indexes=[{'columns': ['order_id'], 'unique': true}, {'columns': ['order_date']}],
    )
}}

-- An order in several parcels is shipped, and delivered, when the last of them is. 'all' is the row
-- of all carriers in order_fulfilment, so a carrier of that name counts as unknown.
with shipments as (
    select
        order_id,
        case
            when min(carrier) <> max(carrier) then 'several'
            else coalesce(nullif(min(carrier), 'all'), 'unknown')
        end as carrier,
        count(case when status = 'pending' then 1 end) as pending,
        count(case when status = 'in_transit' then 1 end) as in_transit,
        count(case when status = 'lost' then 1 end) as lost,
        count(case when is_late then 1 end) as late,
        max(hours_to_ship) as hours_to_ship,
        max(hours_to_deliver) as hours_to_deliver
    from {{ ref('fact_shipments') }}
    where {{ exact.affected('order_id') }}
    group by order_id
)

select
    orders.order_id,
    orders.order_date,
    coalesce(shipments.carrier, 'none') as carrier,
    case
        when shipments.lost > 0 then 'lost'
        when shipments.order_id is null or shipments.pending > 0 then 'not_shipped'
        when shipments.in_transit > 0 then 'in_transit'
        else 'delivered'
    end as state,
    coalesce(shipments.late, 0) > 0 as is_late,
    case when shipments.pending = 0 then shipments.hours_to_ship end as hours_to_ship,
    case
        when shipments.pending + shipments.in_transit + shipments.lost = 0
            then shipments.hours_to_deliver
    end as hours_to_deliver
from {{ ref('fact_orders') }} as orders
left join shipments on orders.order_id = shipments.order_id
where orders.is_sale and {{ exact.affected('orders.order_id') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('fact_orders', ['order_id']) }}
{% call exact.affected_when() %}
    select changes.order_id
    from {{ exact.changes('fact_shipments') }}
    where changes.order_id is not null
{% endcall %}
