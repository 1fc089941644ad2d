{{
    config(
        rebuild_key=['month_start', 'product_id'],
        indexes=[{'columns': ['month_start', 'product_id'], 'unique': true}],
    )
}}

with stocks as (
    select * from {{ ref('int_stock_months') }}
    where {{ within_affected('month', 'month_start', earlier=1) }}
),

sold as (
    select
        month_start,
        product_id,
        units,
        cost
    from {{ ref('int_product_sales') }}
    where {{ exact.affected('month_start', 'product_id') }}
),

figures as (
    select
        coalesce(stocks.month_start, sold.month_start) as month_start,
        coalesce(stocks.product_id, sold.product_id) as product_id,
        coalesce(stocks.days_counted, 0) as days_counted,
        stocks.first_units,
        stocks.first_value,
        coalesce(stocks.received_units, 0) as received_units,
        stocks.closing_units,
        stocks.closing_value,
        coalesce(sold.units, 0) as units_sold,
        coalesce(sold.cost, 0) as cost_of_goods_sold
    from stocks
    full join sold
        on stocks.month_start = sold.month_start and stocks.product_id = sold.product_id
),

-- A month opens with the closing stock of the previous month, or with its own first count.
opened as (
    select
        figures.*,
        case
            when previous.product_id is null or figures.days_counted = 0 then figures.first_units
            else previous.closing_units
        end as opening_units,
        case
            when previous.product_id is null or figures.days_counted = 0 then figures.first_value
            else previous.closing_value
        end as opening_value
    from figures
    left join stocks as previous
        on
            figures.product_id = previous.product_id
            and {{ plus_periods('month', 'figures.month_start', -1) }} = previous.month_start
    where {{ exact.affected('figures.month_start', 'figures.product_id') }}
),

valued as (
    select
        *,
        case when opening_value + closing_value > 0 then (opening_value + closing_value) / 2 end
            as average_value
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
    cast(days_counted * average_value / nullif(cost_of_goods_sold, 0) as numeric(38, 4))
        as days_of_stock
from valued

-- The keys that a change upstream affects. The next month opens with the closing stock of a month.
{{ exact.affected_by('int_product_sales', ['month_start', 'product_id']) }}
{{ exact.affected_by('int_stock_months', ['month_start', 'product_id']) }}
{% call exact.affected_when() %}
    select {{ plus_periods('month', 'changes.month_start', 1) }}, changes.product_id
    from {{ exact.changes('int_stock_months') }}
{% endcall %}
