{{
    config(
        rebuild_key=['grain', 'period_start'],
        indexes=[{'columns': ['grain', 'period_start', 'carrier'], 'unique': true}],
    )
}}

{% set grains = ["day", "month"] %}

{% for grain in grains %}
{% call affected_when() %}
    select '{{ grain }}', {{ period_of(grain, 'changes.order_date') }} from {{ changes('fact_orders') }}
    union
    select '{{ grain }}', {{ period_of(grain, 'changes.order_date') }} from {{ changes('fact_shipments') }}
    where changes.order_date is not null
{% endcall %}
{% endfor %}

{% set in_touched_months = when_affected(
    "order_date >= (select min(period_start) from affected)"
    ~ " and order_date < (select " ~ plus_periods("month", "max(period_start)", 1) ~ " from affected)"
) %}

with orders as (
    select
        order_id,
        order_date
    from {{ ref('fact_orders') }}
    where is_sale and {{ in_touched_months }}
),

-- An order that goes in several parcels is shipped, and delivered, when the last of them is.
shipments as (
    select
        order_id,
        -- 'all' is the row of all carriers, so a carrier of that name is none that is known.
        case when min(carrier) <> max(carrier) then 'several' else coalesce(nullif(min(carrier), 'all'), 'unknown') end
            as carrier,
        count(case when status = 'pending' then 1 end) as pending,
        count(case when status = 'in_transit' then 1 end) as in_transit,
        count(case when status = 'lost' then 1 end) as lost,
        count(case when is_late then 1 end) as late,
        max(hours_to_ship) as hours_to_ship,
        max(hours_to_deliver) as hours_to_deliver
    from {{ ref('fact_shipments') }}
    where {{ in_touched_months }}
    group by order_id
),

fulfilment as (
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
            when shipments.pending + shipments.in_transit + shipments.lost = 0 then shipments.hours_to_deliver
        end as hours_to_deliver
    from orders
    left join shipments on orders.order_id = shipments.order_id
),

by_grain as (
    {% for grain in grains -%}
    select
        '{{ grain }}' as grain,
        {{ period_of(grain, 'order_date') }} as period_start,
        fulfilment.*
    from fulfilment
    {{ "union all" if not loop.last }}
    {% endfor %}
),

by_carrier as (
    select
        grain,
        period_start,
        carrier,
        order_id,
        state,
        is_late,
        hours_to_ship,
        hours_to_deliver
    from by_grain
    where {{ affected('grain', 'period_start') }}
    union all
    select
        grain,
        period_start,
        'all' as carrier,
        order_id,
        state,
        is_late,
        hours_to_ship,
        hours_to_deliver
    from by_grain
    where {{ affected('grain', 'period_start') }}
),

-- The median is the mean of the one or two in the middle, n of them in order of size.
numbered as (
    select
        *,
        row_number() over (
            partition by grain, period_start, carrier order by hours_to_ship asc nulls last, order_id asc
        ) as ship_position,
        count(hours_to_ship) over (partition by grain, period_start, carrier) as ship_count,
        row_number() over (
            partition by grain, period_start, carrier order by hours_to_deliver asc nulls last, order_id asc
        ) as deliver_position,
        count(hours_to_deliver) over (partition by grain, period_start, carrier) as deliver_count
    from by_carrier
),

counts as (
    select
        grain,
        period_start,
        carrier,
        count(*) as orders,
        count(case when state = 'not_shipped' then 1 end) as not_shipped,
        count(case when state = 'in_transit' then 1 end) as in_transit,
        count(case when state = 'delivered' then 1 end) as delivered,
        count(case when state = 'lost' then 1 end) as lost,
        count(case when state = 'delivered' and not is_late then 1 end) as on_time,
        count(case when is_late then 1 end) as late,
        count(case when state in ('delivered', 'lost') or is_late then 1 end) as decided,
        avg(hours_to_ship) as average_hours_to_ship,
        avg(
            case when 2 * ship_position between ship_count and ship_count + 2 then hours_to_ship end
        ) as median_hours_to_ship,
        avg(hours_to_deliver) as average_hours_to_deliver,
        avg(
            case when 2 * deliver_position between deliver_count and deliver_count + 2 then hours_to_deliver end
        ) as median_hours_to_deliver
    from numbered
    group by grain, period_start, carrier
)

select
    grain,
    period_start,
    carrier,
    cast(orders as integer) as orders,
    cast(not_shipped as integer) as not_shipped,
    cast(in_transit as integer) as in_transit,
    cast(delivered as integer) as delivered,
    cast(lost as integer) as lost,
    cast(on_time as integer) as on_time,
    cast(late as integer) as late,
    cast(decided as integer) as decided,
    cast(cast(on_time as numeric(18, 4)) / nullif(decided, 0) as numeric(18, 4)) as on_time_rate,
    cast(average_hours_to_ship as numeric(18, 4)) as average_hours_to_ship,
    cast(median_hours_to_ship as numeric(18, 4)) as median_hours_to_ship,
    cast(average_hours_to_deliver as numeric(18, 4)) as average_hours_to_deliver,
    cast(median_hours_to_deliver as numeric(18, 4)) as median_hours_to_deliver
from counts
