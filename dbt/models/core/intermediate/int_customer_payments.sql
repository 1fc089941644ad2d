{{
    config(
        rebuild_key=['paid_date'],
        change_log=['paid_date', 'customer_id'],
        indexes=[{'columns': ['paid_date', 'customer_id'], 'unique': true}],
    )
}}

-- A payment without a customer belongs to the customer of its order.
with charges as (
    select
        payments.paid_date,
        coalesce(payments.customer_id, orders.customer_id) as customer_id,
        payments.status
    from {{ ref('fact_payments') }} as payments
    left join {{ ref('fact_orders') }} as orders on payments.order_id = orders.order_id
    where payments.kind = 'charge' and {{ exact.affected('payments.paid_date') }}
)

select
    paid_date,
    customer_id,
    cast(count(*) as integer) as attempts,
    cast(count(case when status = 'failed' then 1 end) as integer) as failed_attempts
from charges
where customer_id is not null
group by paid_date, customer_id

-- The keys that a change upstream affects.
{{ exact.affected_by('fact_payments', ['paid_date']) }}
{% call exact.affected_when() %}
    select payments.paid_date
    from {{ exact.changes('fact_orders') }}
    inner join {{ ref('fact_payments') }} as payments on changes.order_id = payments.order_id
    where payments.customer_id is null
{% endcall %}
