{{
    config(
        materialized='landed',
        source='orders',
        key=['order_id'],
        indexes=[{'columns': ['order_id']}, {'columns': ['_load_id']}],
    )
}}

with typed as (
    select
        order_id,
        product_id,
        case
            when pg_input_is_valid(ordered_on, 'date') then cast(ordered_on as date)
        end as ordered_on,
        case when quantity ~ '^\d{1,6}$' then cast(quantity as integer) end as quantity,
        cast(left(_partition, 10) as date) as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('example_raw', 'orders') }}
    where {{ exact.newly_landed() }}
)

select
    *,
    case
        when order_id is null then 'order_id_missing'
        when ordered_on is null then 'ordered_on_unreadable'
        when quantity is null then 'quantity_unreadable'
    end as _reject_rule
from typed
