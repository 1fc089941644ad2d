{{
    config(
        unit=['payment_id'],
        feed=['payment_id', 'order_id', 'paid_date'],
        indexes=[
            {'columns': ['payment_id'], 'unique': true},
            {'columns': ['order_id']},
            {'columns': ['paid_date']},
        ],
    )
}}

{{ touched_by('stg_payments', ['payment_id']) }}

-- What of a refund is for goods depends on its order.
{% call touched_when() %}
    select payments.payment_id
    from {{ changes('fact_orders') }}
    inner join {{ ref('stg_payments') }} as payments on changes.order_id = payments.order_id
{% endcall %}

with payments as (
    select
        *,
        status = 'succeeded' as is_settled
    from {{ ref('stg_payments') }}
    where {{ touched('payment_id') }}
),

orders as (
    select * from {{ ref('fact_orders') }}
)

select
    payments.payment_id,
    payments.customer_id,
    payments.order_id,
    payments.subscription_id,
    payments.kind,
    payments.method,
    payments.status,
    payments.currency,
    payments.amount,
    -- A refund gives back goods, shipping and tax in the proportion in which the order was charged; to the cent.
    cast(
        case
            when payments.kind = 'refund' and payments.is_settled and orders.is_sale and orders.total_amount > 0
                then round(
                    payments.amount * least(greatest(orders.net_amount, 0), orders.total_amount) / orders.total_amount,
                    2
                )
        end as numeric(38, 4)
    ) as refunded_goods_amount,
    payments.is_settled,
    payments.paid_date,
    payments.paid_at
from payments
left join orders on payments.order_id = orders.order_id
