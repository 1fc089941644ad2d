{{
    config(
        unit=['month_start', 'product_id'],
        indexes=[{'columns': ['product_id', 'month_start'], 'unique': true}, {'columns': ['month_start']}],
    )
}}

{% set limits = var("product_health") %}

{% call touched_when() %}
    select {{ period_of('month', 'changes.order_date') }}, changes.product_id
    from {{ changes('fact_order_items') }}
{% endcall %}

{% call touched_when() %}
    select {{ period_of('month', 'changes.returned_date') }}, changes.product_id
    from {{ changes('fact_returns') }}
    where changes.product_id is not null
{% endcall %}

-- The last stock of a month is the opening one of the next.
{% call touched_when() %}
    select {{ period_of('month', 'changes.stock_date') }}, changes.product_id
    from {{ changes('fact_inventory_daily') }}
    union
    select {{ plus_periods('month', period_of('month', 'changes.stock_date'), 1) }}, changes.product_id
    from {{ changes('fact_inventory_daily') }}
{% endcall %}

-- Only another name or category matters here, and not each new price.
{% call touched_when() %}
    select held.month_start, held.product_id
    from {{ changes('dim_products') }}
    inner join {{ this }} as held on changes.product_id = held.product_id
    left join {{ ref('dim_products') }} as products
        on held.product_id = products.product_id and products.is_current
    where
        coalesce(held.name, '') <> coalesce(products.name, '')
        or coalesce(held.category, '') <> coalesce(products.category, '')
{% endcall %}

-- As long as a month is not over, each day makes it longer.
{% call touched_when() %}
    select held.month_start, held.product_id
    from {{ this }} as held
    cross join {{ ref('as_of') }} as today
    where held.days <> {{ days_of_month_until('held.month_start', 'today.as_of') }}
{% endcall %}

with sales as (
    select
        {{ period_of('month', 'order_date') }} as month_start,
        product_id,
        count(distinct order_id) as orders,
        sum(quantity) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(cost) as cost
    from {{ ref('fact_order_items') }}
    where is_sale and {{ within_touched_products('order_date') }}
    group by 1, product_id
),

returned as (
    select
        {{ period_of('month', 'returned_date') }} as month_start,
        product_id,
        sum(quantity) as returned_units
    from {{ ref('fact_returns') }}
    where is_sale and {{ within_touched_products('returned_date') }}
    group by 1, product_id
),

counts as (
    select
        {{ period_of('month', 'stock_date') }} as month_start,
        product_id,
        on_hand,
        inventory_value,
        row_number() over (partition by product_id, {{ period_of('month', 'stock_date') }} order by stock_date) as place,
        row_number() over (partition by product_id, {{ period_of('month', 'stock_date') }} order by stock_date desc) as place_from_end
    from {{ ref('fact_inventory_daily') }}
    where {{ within_touched_products('stock_date', months_before=1) }}
),

stocks as (
    select
        closing.month_start,
        closing.product_id,
        closing.on_hand as closing_units,
        closing.inventory_value as closing_inventory,
        -- Where nothing was counted in the month before, the first count of the month opens it.
        case when before.product_id is null then first_counts.inventory_value else before.inventory_value end
            as opening_inventory
    from counts as closing
    inner join counts as first_counts
        on
            closing.month_start = first_counts.month_start
            and closing.product_id = first_counts.product_id
            and first_counts.place = 1
    left join counts as before
        on
            closing.month_start = {{ plus_periods('month', 'before.month_start', 1) }}
            and closing.product_id = before.product_id
            and before.place_from_end = 1
    where closing.place_from_end = 1
),

months as (
    select month_start, product_id from sales
    union
    select month_start, product_id from returned
    union
    select month_start, product_id from stocks
),

figures as (
    select
        months.month_start,
        months.product_id,
        {{ days_of_month_until('months.month_start', 'today.as_of') }} as days,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.units, 0) as units,
        -- What is in a currency without a rate has no value in the reporting currency.
        coalesce(sales.gross_revenue, 0) as gross_revenue,
        coalesce(sales.discounts, 0) as discounts,
        coalesce(sales.gross_revenue, 0) - coalesce(sales.discounts, 0) as net_sales,
        coalesce(sales.cost, 0) as cost,
        coalesce(sales.gross_revenue, 0) - coalesce(sales.discounts, 0) - coalesce(sales.cost, 0) as gross_profit,
        coalesce(returned.returned_units, 0) as returned_units,
        cast(coalesce(returned.returned_units, 0) as numeric(18, 4)) / nullif(sales.units, 0) as return_rate,
        stocks.opening_inventory,
        stocks.closing_inventory,
        stocks.closing_units,
        (stocks.opening_inventory + stocks.closing_inventory) / 2 as mean_inventory,
        cast(case when stocks.closing_units < 0 then 0 else stocks.closing_units end as numeric(18, 4)) / nullif(sales.units, 0)
            as months_of_stock
    from months
    cross join {{ ref('as_of') }} as today
    left join sales on months.month_start = sales.month_start and months.product_id = sales.product_id
    left join returned on months.month_start = returned.month_start and months.product_id = returned.product_id
    left join stocks on months.month_start = stocks.month_start and months.product_id = stocks.product_id
)

select
    figures.month_start,
    figures.product_id,
    products.name,
    products.category,
    cast(figures.days as integer) as days,
    cast(figures.orders as integer) as orders,
    cast(figures.units as bigint) as units,
    cast(figures.gross_revenue as numeric(38, 4)) as gross_revenue,
    cast(figures.discounts as numeric(38, 4)) as discounts,
    cast(figures.net_sales as numeric(38, 4)) as net_sales,
    cast(figures.cost as numeric(38, 4)) as cost,
    cast(figures.gross_profit as numeric(38, 4)) as gross_profit,
    cast(figures.gross_profit / nullif(figures.net_sales, 0) as numeric(38, 4)) as margin,
    cast(figures.returned_units as bigint) as returned_units,
    cast(figures.return_rate as numeric(18, 4)) as return_rate,
    cast(figures.opening_inventory as numeric(38, 4)) as opening_inventory,
    cast(figures.closing_inventory as numeric(38, 4)) as closing_inventory,
    cast(figures.closing_units as integer) as closing_units,
    cast(
        case when figures.mean_inventory > 0 then figures.cost / figures.mean_inventory end as numeric(38, 4)
    ) as inventory_turnover,
    cast(figures.months_of_stock * figures.days as numeric(18, 4)) as days_of_stock,
    case
        when figures.units = 0 then 'unsold'
        when figures.gross_profit < 0 then 'loss'
        when figures.return_rate > {{ limits["most_returned"] }} then 'returned'
        when figures.months_of_stock * figures.days < {{ limits["least_days_of_stock"] }} then 'understocked'
        when figures.months_of_stock * figures.days > {{ limits["most_days_of_stock"] }} then 'overstocked'
        else 'healthy'
    end as health
from figures
left join {{ ref('dim_products') }} as products
    on figures.product_id = products.product_id and products.is_current
where {{ touched('figures.month_start', 'figures.product_id') }}
