{#-
  Products that were bought together. The order's date is in every grouping, so that a filter on it
  can use the index of the facts.
-#}
{{ config(materialized='view') }}

with order_products as (
    select
        order_id,
        product_id,
        order_date,
        count(*) over (partition by order_id, order_date) as products
    from {{ ref('fact_order_items') }}
    where is_sale
    group by order_id, product_id, order_date
)

select
    order_id,
    product_id,
    order_date,
    {{ period_of('month', 'order_date') }} as month_start
from order_products
where products <= {{ var("affinity_max_products") }}
