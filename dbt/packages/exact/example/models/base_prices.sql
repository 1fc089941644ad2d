{{
    config(
        materialized='landed',
        source='prices',
        key=['product_id', 'valid_from'],
        change_log=['product_id'],
        indexes=[{'columns': ['product_id', 'valid_from']}, {'columns': ['_load_id']}],
    )
}}

with typed as (
    select
        product_id,
        case
            when pg_input_is_valid(valid_from, 'date') then cast(valid_from as date)
        end as valid_from,
        case when price ~ '^\d{1,9}(\.\d\d)?$' then cast(price as numeric(12, 2)) end as price,
        cast(left(_partition, 10) as date) as _landed_on,
        _file,
        _line,
        _load_id
    from {{ source('example_raw', 'prices') }}
    where {{ exact.newly_landed() }}
)

select
    *,
    case
        when product_id is null then 'product_id_missing'
        when valid_from is null then 'valid_from_unreadable'
        when price is null then 'price_unreadable'
    end as _reject_rule
from typed
