{{
    config(
        rebuild_key=['return_id'],
        change_log=['return_id', 'product_id', 'order_id', 'returned_date'],
        indexes=[
            {'columns': ['return_id'], 'unique': true},
            {'columns': ['order_item_id']},
            {'columns': ['order_id']},
            {'columns': ['returned_date', 'product_id']},
        ],
    )
}}

{{ affected_by('stg_returns', ['return_id']) }}

-- A return that landed before its order line gets the line's product, customer and order when it comes.
{% call affected_when() %}
    select returns.return_id
    from {{ changes('fact_order_items') }}
    inner join {{ ref('stg_returns') }} as returns on changes.order_item_id = returns.order_item_id
{% endcall %}

-- A return whose currency is another one by now is affected by its order line.
{% call affected_when() %}
    select held.return_id
    from {{ changes('int_exchange_rates') }}
    inner join {{ this }} as held
        on changes.currency = held.currency and {{ valid_at('changes', 'held.returned_date') }}
    where {{ within_changed('int_exchange_rates', 'held.returned_date') }}
{% endcall %}

with returns as (
    select * from {{ ref('stg_returns') }}
    where {{ affected('return_id') }}
),

items as (
    select * from {{ ref('fact_order_items') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
)

select
    returns.return_id,
    returns.order_item_id,
    items.order_id,
    items.customer_id,
    coalesce(items.customer_sk, {{ unknown_key() }}) as customer_sk,
    items.product_id,
    coalesce(items.product_sk, {{ unknown_key() }}) as product_sk,
    coalesce(items.is_sale, false) as is_sale,
    returns.quantity,
    returns.reason,
    items.currency,
    cast(returns.refund_amount as numeric(38, 4)) as refund_amount,
    rates.rate as exchange_rate,
    {{ in_reporting_currency('returns.refund_amount', 'rates.rate') }} as refund_revenue,
    returns.returned_date,
    returns.returned_at
from returns
left join items on returns.order_item_id = items.order_item_id
left join rates on items.currency = rates.currency and {{ valid_at('rates', 'returns.returned_date') }}
