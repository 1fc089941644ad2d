{{
    config(
        rebuild_key=['month_start', 'product_id'],
        indexes=[{'columns': ['month_start', 'product_id'], 'unique': true}],
    )
}}

{% set limits = var("product_health") %}

with sales as (
    select * from {{ ref('int_product_sales') }}
    where {{ exact.affected('month_start', 'product_id') }}
),

-- A return of an unknown order line has no product.
returned as (
    select * from {{ ref('product_returns') }}
    where reason = 'all' and product_id <> '' and {{ exact.affected('month_start', 'product_id') }}
),

stocks as (
    select * from {{ ref('inventory_turnover') }}
    where {{ exact.affected('month_start', 'product_id') }}
),

months as (
    {% for source in ['sales', 'returned', 'stocks'] -%}
    select
        month_start,
        product_id
    from {{ source }}
    {{ "union" if not loop.last }}
    {% endfor %}
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
    left join sales
        on months.month_start = sales.month_start and months.product_id = sales.product_id
    left join stocks
        on months.month_start = stocks.month_start and months.product_id = stocks.product_id
    left join returned
        on months.month_start = returned.month_start and months.product_id = returned.product_id
)

select
    figures.month_start,
    figures.product_id,
    products.name,
    products.category,
    figures.orders,
    figures.units,
    cast(figures.gross_revenue as numeric(38, 4)) as gross_revenue,
    cast(figures.discounts as numeric(38, 4)) as discounts,
    cast(figures.net_sales as numeric(38, 4)) as net_sales,
    cast(figures.cost as numeric(38, 4)) as cost,
    cast(figures.gross_profit as numeric(38, 4)) as gross_profit,
    cast(figures.gross_profit / nullif(figures.net_sales, 0) as numeric(38, 4)) as margin,
    figures.units_returned,
    figures.return_rate,
    figures.opening_value,
    figures.closing_value,
    figures.closing_units,
    figures.turnover,
    figures.days_of_stock,
    case
        when figures.units = 0 then 'unsold'
        when figures.gross_profit < 0 then 'loss'
        when figures.return_rate > {{ limits["most_returned"] }} then 'returned'
        when figures.closing_units <= 0 then 'out_of_stock'
        when figures.days_of_stock < {{ limits["least_days_of_stock"] }} then 'understocked'
        when figures.days_of_stock > {{ limits["most_days_of_stock"] }} then 'overstocked'
        else 'healthy'
    end as health
from figures
left join {{ ref('dim_products') }} as products
    on figures.product_id = products.product_id and products.is_current

-- The keys that a change upstream affects. Of a product, a changed name or category counts, and not
-- each new price.
{{ exact.affected_by('int_product_sales', ['month_start', 'product_id']) }}
{{ exact.affected_by('inventory_turnover', ['month_start', 'product_id']) }}
{{ exact.affected_by('product_returns', ['month_start', 'product_id']) }}
{% call exact.affected_when() %}
    select held.month_start, held.product_id
    from {{ exact.changes('dim_products') }}
    inner join {{ this }} as held on changes.product_id = held.product_id
    left join {{ ref('dim_products') }} as products
        on held.product_id = products.product_id and products.is_current
    where
        coalesce(held.name, '') <> coalesce(products.name, '')
        or coalesce(held.category, '') <> coalesce(products.category, '')
{% endcall %}
