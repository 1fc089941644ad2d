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
from {{ ref('stg_returns') }} as returns
left join {{ ref('fact_order_items') }} as items
    on returns.order_item_id = items.order_item_id
left join {{ ref('int_exchange_rates') }} as rates
    on items.currency = rates.currency and {{ valid_at('rates', 'returns.returned_date') }}
where {{ exact.affected('returns.return_id') }}

-- The keys that a change upstream affects. A return that landed before its order line gets product,
-- customer and order when the line lands. A line affects the return whose currency changes with it.
{{ exact.affected_by('stg_returns', ['return_id']) }}
{{ affected_by_rates(this, 'returned_date', ['return_id']) }}
{% call exact.affected_when() %}
    select returns.return_id
    from {{ exact.changes('fact_order_items') }}
    inner join {{ ref('stg_returns') }} as returns
        on changes.order_item_id = returns.order_item_id
{% endcall %}
