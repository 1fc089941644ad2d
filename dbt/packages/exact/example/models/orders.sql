{{ config(materialized='view') }}

select
    order_id,
    product_id,
    ordered_on,
    quantity
from {{ ref('base_orders') }}
where _row_status = 'accepted'
