{{ config(rebuild_key=['month_start', 'product_id'], indexes=[{'columns': ['month_start', 'product_id'], 'unique': true}]) }}

{% call affected_when() %}
    select {{ period_of('month', 'changes.order_date') }}, changes.product_id
    from {{ changes('fact_order_items') }}
{% endcall %}
{{ affected_by('inventory_turnover', ['month_start', 'product_id']) }}
{{ affected_by('product_returns', ['month_start', 'product_id']) }}

-- Only another name or category matters here, and not each new price.
{% call affected_when() %}
    select held.month_start, held.product_id
    from {{ changes('dim_products') }}
    inner join {{ this }} as held on changes.product_id = held.product_id
    left join {{ ref('dim_products') }} as products
        on held.product_id = products.product_id and products.is_current
    where
        coalesce(held.name, '') <> coalesce(products.name, '')
        or coalesce(held.category, '') <> coalesce(products.category, '')
{% endcall %}

with sales as (
    select
        {{ period_of('month', 'order_date') }} as month_start,
        product_id,
        count(distinct order_id) as orders,
        sum(quantity) as units,
        -- What is in a currency without a rate has no value in the reporting currency.
        coalesce(sum(gross_revenue), 0) as gross_revenue,
        coalesce(sum(discounts), 0) as discounts,
        coalesce(sum(net_sales), 0) as net_sales,
        sum(cost) as cost
    from {{ ref('fact_order_items') }}
    where is_sale and {{ within_affected('month', 'order_date') }}
    group by 1, 2
),

-- A return whose order line is not known has no product.
returned as (
    select * from {{ ref('product_returns') }}
    where reason = 'all' and product_id <> '' and {{ affected('month_start', 'product_id') }}
),

months as (
    select
        month_start,
        product_id
    from sales
    union
    select
        month_start,
        product_id
    from {{ ref('inventory_turnover') }}
    where {{ affected('month_start', 'product_id') }}
    union
    select
        month_start,
        product_id
    from returned
),

figures as (
    select
        months.month_start,
        months.product_id,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.units, 0) as units,
        coalesce(sales.gross_revenue, 0) as gross_revenue,
        coalesce(sales.discounts, 0) as discounts,
        coalesce(sales.net_sales, 0) as net_sales,
        coalesce(sales.cost, 0) as cost,
        coalesce(sales.net_sales - sales.cost, 0) as gross_profit,
        coalesce(returned.units_returned, 0) as units_returned,
        returned.return_rate,
        stocks.opening_value,
        stocks.closing_value,
        stocks.closing_units,
        stocks.turnover,
        stocks.days_of_stock
    from months
    left join sales on months.month_start = sales.month_start and months.product_id = sales.product_id
    left join {{ ref('inventory_turnover') }} as stocks
        on months.month_start = stocks.month_start and months.product_id = stocks.product_id
    left join returned on months.month_start = returned.month_start and months.product_id = returned.product_id
)

select
    figures.month_start,
    figures.product_id,
    products.name,
    products.category,
    cast(figures.orders as integer) as orders,
    cast(figures.units as bigint) as units,
    cast(figures.gross_revenue as numeric(38, 4)) as gross_revenue,
    cast(figures.discounts as numeric(38, 4)) as discounts,
    cast(figures.net_sales as numeric(38, 4)) as net_sales,
    cast(figures.cost as numeric(38, 4)) as cost,
    cast(figures.gross_profit as numeric(38, 4)) as gross_profit,
    cast(figures.gross_profit / nullif(figures.net_sales, 0) as numeric(38, 4)) as margin,
    cast(figures.units_returned as bigint) as units_returned,
    figures.return_rate,
    figures.opening_value,
    figures.closing_value,
    figures.closing_units,
    figures.turnover,
    figures.days_of_stock,
    case
        when figures.units = 0 then 'unsold'
        when figures.gross_profit < 0 then 'loss'
        when figures.return_rate > {{ var("product_health")["most_returned"] }} then 'returned'
        when figures.closing_units <= 0 then 'out_of_stock'
        when figures.days_of_stock < {{ var("product_health")["least_days_of_stock"] }} then 'understocked'
        when figures.days_of_stock > {{ var("product_health")["most_days_of_stock"] }} then 'overstocked'
        else 'healthy'
    end as health
from figures
left join {{ ref('dim_products') }} as products
    on figures.product_id = products.product_id and products.is_current
where {{ affected('figures.month_start', 'figures.product_id') }}
