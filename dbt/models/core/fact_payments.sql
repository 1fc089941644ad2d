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

select
    payment_id,
    customer_id,
    order_id,
    subscription_id,
    kind,
    method,
    status,
    currency,
    amount,
    status = 'succeeded' as is_settled,
    paid_date,
    paid_at
from {{ ref('stg_payments') }}
where {{ touched('payment_id') }}
