{{
    config(
        rebuild_key=['grain', 'period_start'],
        indexes=[{'columns': ['grain', 'period_start', 'carrier'], 'unique': true}],
    )
}}

{% set grains = ["day", "month"] %}

-- Each order counts for its carrier and for all of them together, by day and by month.
with orders as (
    {% for grain, carrier in [
        ('day', 'carrier'), ('day', "'all'"), ('month', 'carrier'), ('month', "'all'")
    ] -%}
    select
        '{{ grain }}' as grain,
        {{ period_of(grain, 'order_date') }} as period_start,
        {{ carrier }} as carrier,
        order_id,
        state,
        is_late,
        hours_to_ship,
        hours_to_deliver
    from {{ ref('int_order_deliveries') }}
    where {{ within_affected_periods(grain, 'order_date') }}
    {{ "union all" if not loop.last }}
    {% endfor %}
),

-- The median is the mean of the middle one or two of n values, in order of size.
numbered as (
    select
        *,
        row_number() over (
            partition by grain, period_start, carrier
            order by hours_to_ship asc nulls last, order_id asc
        ) as ship_position,
        count(hours_to_ship) over (partition by grain, period_start, carrier) as ship_count,
        row_number() over (
            partition by grain, period_start, carrier
            order by hours_to_deliver asc nulls last, order_id asc
        ) as deliver_position,
        count(hours_to_deliver) over (partition by grain, period_start, carrier) as deliver_count
    from orders
    where {{ exact.affected('grain', 'period_start') }}
),

counts as (
    select
        grain,
        period_start,
        carrier,
        count(*) as orders,
        {% for state in ['not_shipped', 'in_transit', 'delivered', 'lost'] -%}
        count(case when state = '{{ state }}' then 1 end) as {{ state }},
        {% endfor -%}
        count(case when state = 'delivered' and not is_late then 1 end) as on_time,
        count(case when is_late then 1 end) as late,
        count(case when state in ('delivered', 'lost') or is_late then 1 end) as decided,
        avg(hours_to_ship) as average_hours_to_ship,
        avg(case
            when 2 * ship_position between ship_count and ship_count + 2 then hours_to_ship
        end) as median_hours_to_ship,
        avg(hours_to_deliver) as average_hours_to_deliver,
        avg(case
            when 2 * deliver_position between deliver_count and deliver_count + 2
                then hours_to_deliver
        end) as median_hours_to_deliver
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
    {{ ratio('on_time', 'decided') }} as on_time_rate,
    cast(average_hours_to_ship as numeric(18, 4)) as average_hours_to_ship,
    cast(median_hours_to_ship as numeric(18, 4)) as median_hours_to_ship,
    cast(average_hours_to_deliver as numeric(18, 4)) as average_hours_to_deliver,
    cast(median_hours_to_deliver as numeric(18, 4)) as median_hours_to_deliver
from counts

-- The keys that a change upstream affects.
{% for grain in grains %}
{% call exact.affected_when() %}
    select '{{ grain }}', {{ period_of(grain, 'changes.order_date') }}
    from {{ exact.changes('int_order_deliveries') }}
{% endcall %}
{% endfor %}
