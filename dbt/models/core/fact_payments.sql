{{
    config(
        rebuild_key=['payment_id'],
        change_log=['payment_id', 'order_id', 'subscription_id', 'customer_id', 'paid_date'],
        indexes=[
            {'columns': ['payment_id'], 'unique': true},
            {'columns': ['order_id']},
            {'columns': ['subscription_id']},
            {'columns': ['customer_id', 'paid_date']},
            {'columns': ['paid_date']},
        ],
    )
}}

with payments as (
    select
        *,
        status = 'succeeded' as is_settled
    from {{ ref('stg_payments') }}
    where {{ exact.affected('payment_id') }}
),

-- A refund returns goods, shipping and tax in proportion to the order's charge, to the cent.
goods as (
    select
        payments.*,
        case
            when
                payments.kind = 'refund'
                and payments.is_settled
                and orders.is_sale
                and orders.total_amount > 0
                then round(
                    payments.amount
                    * least(greatest(orders.net_amount, 0), orders.total_amount)
                    / orders.total_amount,
                    2
                )
        end as goods_amount
    from payments
    left join {{ ref('fact_orders') }} as orders on payments.order_id = orders.order_id
)

select
    goods.payment_id,
    goods.customer_id,
    coalesce(customers.customer_sk, {{ unknown_key() }}) as customer_sk,
    goods.order_id,
    goods.subscription_id,
    goods.kind,
    goods.method,
    goods.status,
    goods.currency,
    goods.amount,
    rates.rate as exchange_rate,
    {{ in_reporting_currency('goods.amount', 'rates.rate') }} as reporting_amount,
    {{ in_reporting_currency('goods.goods_amount', 'rates.rate') }} as refunded_goods_amount,
    goods.is_settled,
    goods.paid_date,
    goods.paid_at
from goods
left join {{ ref('dim_customers') }} as customers
    on goods.customer_id = customers.customer_id and {{ valid_at('customers', 'goods.paid_at') }}
left join {{ ref('int_exchange_rates') }} as rates
    on goods.currency = rates.currency and {{ valid_at('rates', 'goods.paid_date') }}

-- The keys that a change upstream affects. The goods of a refund depend on its order.
{{ exact.affected_by('stg_payments', ['payment_id']) }}
{{ affected_by_versions(
    'dim_customers', ref('stg_payments'), 'customer_id', 'paid_at', ['payment_id']
) }}
{{ affected_by_rates(ref('stg_payments'), 'paid_date', ['payment_id']) }}
{% call exact.affected_when() %}
    select payments.payment_id
    from {{ exact.changes('fact_orders') }}
    inner join {{ ref('stg_payments') }} as payments on changes.order_id = payments.order_id
    where payments.kind = 'refund'
{% endcall %}
