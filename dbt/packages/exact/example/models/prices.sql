{{
    config(
        rebuild_key=['product_id'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': ['is_current']},
        indexes=[{'columns': ['product_id', 'valid_from'], 'unique': true}],
    )
}}

{{ exact.affected_by('base_prices', ['product_id']) }}

with versions as (
    select
        product_id,
        price,
        valid_from,
        lead(valid_from) over (partition by product_id order by valid_from) as valid_to
    from {{ ref('base_prices') }}
    where _row_status = 'accepted' and {{ exact.affected('product_id') }}
)

select
    *,
    valid_to is null as is_current
from versions
