{{
    config(
        rebuild_key=['grain', 'period_start'],
        indexes=[{'columns': ['grain', 'period_start', 'carrier'], 'unique': true}],
    )
}}

{% set grains = ["day", "month"] %}

-- Each order counts for its carrier and for all of them together, by day and by month.
with orders as (
    {% for grain in grains %}{% set is_last_grain = loop.last -%}
    {% for carrier in ['carrier', "'all'"] -%}
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
    {{ "union all" if not (is_last_grain and loop.last) }}
    {% endfor -%}
    {% endfor %}
),

-- The median is the mean of the one or two in the middle, n of them in order of size.
numbered as (
    select
        *,
        {% for hours in ['hours_to_ship', 'hours_to_deliver'] -%}
        row_number() over (
            partition by grain, period_start, carrier
            order by {{ hours }} asc nulls last, order_id asc
        ) as {{ hours }}_position,
        count({{ hours }}) over (partition by grain, period_start, carrier) as {{ hours }}_count
        {{- "," if not loop.last }}
        {% endfor %}
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
        {% for hours in ['hours_to_ship', 'hours_to_deliver'] -%}
        avg({{ hours }}) as average_{{ hours }},
        avg(case
            when 2 * {{ hours }}_position between {{ hours }}_count and {{ hours }}_count + 2
                then {{ hours }}
        end) as median_{{ hours }}{{ "," if not loop.last }}
        {% endfor %}
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

-- What a change upstream affects.
{% for grain in grains %}
{% call exact.affected_when() %}
    select '{{ grain }}', {{ period_of(grain, 'changes.order_date') }}
    from {{ exact.changes('int_order_deliveries') }}
{% endcall %}
{% endfor %}
