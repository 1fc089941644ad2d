{{
    config(
        rebuild_key=['month_start', 'product_id'],
        indexes=[{'columns': ['month_start', 'product_id'], 'unique': true}],
    )
}}

-- What is left at the end of a month is there at the beginning of the next.
{% call affected_when() %}
    select {{ period_of('month', 'changes.stock_date') }}, changes.product_id
    from {{ changes('fact_inventory_daily') }}
    union
    select {{ plus_periods('month', period_of('month', 'changes.stock_date'), 1) }}, changes.product_id
    from {{ changes('fact_inventory_daily') }}
    union
    select {{ period_of('month', 'changes.order_date') }}, changes.product_id
    from {{ changes('fact_order_items') }}
{% endcall %}

with levels as (
    select
        product_id,
        {{ period_of('month', 'stock_date') }} as month_start,
        on_hand,
        received,
        inventory_value,
        row_number() over (
            partition by product_id, {{ period_of('month', 'stock_date') }} order by stock_date
        ) as position_from_start,
        row_number() over (
            partition by product_id, {{ period_of('month', 'stock_date') }} order by stock_date desc
        ) as position_from_end
    from {{ ref('fact_inventory_daily') }}
    where {{ within_affected('month', 'stock_date', earlier=1) }}
),

months as (
    select
        product_id,
        month_start,
        count(*) as days_counted,
        sum(received) as received,
        max(case when position_from_start = 1 then on_hand end) as first_units,
        max(case when position_from_start = 1 then inventory_value end) as first_value,
        max(case when position_from_end = 1 then on_hand end) as closing_units,
        max(case when position_from_end = 1 then inventory_value end) as closing_value
    from levels
    group by product_id, month_start
),

sold as (
    select
        product_id,
        {{ period_of('month', 'order_date') }} as month_start,
        sum(quantity) as units_sold,
        sum(cost) as cost_of_goods_sold
    from {{ ref('fact_order_items') }}
    where is_sale and {{ within_affected('month', 'order_date') }}
    group by 1, 2
),

figures as (
    select
        coalesce(months.month_start, sold.month_start) as month_start,
        coalesce(months.product_id, sold.product_id) as product_id,
        coalesce(months.days_counted, 0) as days_counted,
        months.first_units,
        months.first_value,
        coalesce(months.received, 0) as received_units,
        months.closing_units,
        months.closing_value,
        coalesce(sold.units_sold, 0) as units_sold,
        coalesce(sold.cost_of_goods_sold, 0) as cost_of_goods_sold
    from months
    full join sold on months.product_id = sold.product_id and months.month_start = sold.month_start
),

followed as (
    select
        *,
        coalesce(
            lag(days_counted) over (partition by product_id order by month_start) > 0
            and lag(month_start) over (partition by product_id order by month_start)
            = {{ plus_periods('month', 'month_start', -1) }},
            false
        ) as is_counted_before,
        lag(closing_units) over (partition by product_id order by month_start) as previous_units,
        lag(closing_value) over (partition by product_id order by month_start) as previous_value
    from figures
),

-- A product that was not counted in the month before begins with its first count.
opened as (
    select
        *,
        case when is_counted_before and days_counted > 0 then previous_units else first_units end as opening_units,
        case when is_counted_before and days_counted > 0 then previous_value else first_value end as opening_value
    from followed
),

valued as (
    select
        *,
        case when opening_value + closing_value > 0 then (opening_value + closing_value) / 2 end as average_value
    from opened
)

select
    month_start,
    product_id,
    cast(days_counted as integer) as days_counted,
    opening_units,
    cast(received_units as bigint) as received_units,
    cast(units_sold as bigint) as units_sold,
    closing_units,
    cast(opening_value as numeric(38, 4)) as opening_value,
    cast(closing_value as numeric(38, 4)) as closing_value,
    cast(cost_of_goods_sold as numeric(38, 4)) as cost_of_goods_sold,
    cast(cost_of_goods_sold / average_value as numeric(38, 4)) as turnover,
    cast(days_counted * average_value / nullif(cost_of_goods_sold, 0) as numeric(38, 4)) as days_of_stock
from valued
where {{ affected('month_start', 'product_id') }}
