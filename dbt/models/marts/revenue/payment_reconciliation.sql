{{
    config(
        rebuild_key=['order_id'],
        indexes=[
            {'columns': ['order_id'], 'unique': true},
            {'columns': ['order_date']},
            {'columns': ['status']},
        ],
    )
}}

{% set tolerance = var("payment_tolerance") %}

with orders as (
    select * from {{ ref('fact_orders') }}
    where {{ exact.affected('order_id') }}
),

payments as (
    select
        payments.order_id,
        payments.kind,
        case
            when payments.currency = orders.currency then payments.amount
            else round(payments.amount * payments.exchange_rate / rates.rate, 4)
        end as amount
    from {{ ref('fact_payments') }} as payments
    inner join orders on payments.order_id = orders.order_id
    left join {{ ref('int_exchange_rates') }} as rates
        on orders.currency = rates.currency and {{ valid_at('rates', 'payments.paid_date') }}
    where payments.is_settled
),

paid as (
    select
        order_id,
        sum(case when kind = 'charge' then amount else 0 end) as charged,
        sum(case when kind = 'refund' then amount else 0 end) as refunded,
        count(*) - count(amount) as unconverted
    from payments
    group by order_id
),

figures as (
    select
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        orders.currency,
        not coalesce(statuses.is_cancelled, false) as is_due,
        orders.total_amount as order_total,
        coalesce(paid.charged, 0) as charged,
        coalesce(paid.refunded, 0) as refunded,
        coalesce(paid.unconverted, 0) as unconverted
    from orders
    left join {{ ref('order_statuses') }} as statuses on orders.status = statuses.status
    left join paid on orders.order_id = paid.order_id
),

compared as (
    select
        *,
        case
            when unconverted > 0 then 'unconverted'
            when not is_due and abs(charged - refunded) <= {{ tolerance }} then 'cancelled'
            when not is_due and charged > refunded then 'overpaid'
            when not is_due then 'overrefunded'
            when refunded - charged > {{ tolerance }} then 'overrefunded'
            when refunded > 0 and charged - refunded <= {{ tolerance }} then 'refunded'
            when charged = 0 and order_total > {{ tolerance }} then 'unpaid'
            when charged - order_total < -{{ tolerance }} then 'underpaid'
            when charged - refunded - order_total > {{ tolerance }} then 'overpaid'
            when charged - refunded - order_total < -{{ tolerance }} then 'partially_refunded'
            else 'paid'
        end as status
    from figures
)

-- difference: nothing is due for a cancelled order, so its charge has to be refunded, and no more
-- than that. A refund of an overpayment resolves it; a refund beyond it is a refund of the order.
select
    order_id,
    customer_id,
    order_date,
    currency,
    cast(order_total as numeric(38, 4)) as order_total,
    cast(charged as numeric(38, 4)) as charged,
    cast(refunded as numeric(38, 4)) as refunded,
    cast(case
        when not is_due or status = 'overrefunded' then charged - refunded
        when status = 'refunded' then 0
        when charged < order_total then charged - order_total
        else greatest(charged - refunded - order_total, 0)
    end as numeric(38, 4)) as difference,
    status
from compared

-- The keys that a change upstream affects. An amount paid in a currency other than the order's
-- depends on the rate of the order's currency.
{{ exact.affected_by('fact_orders', ['order_id']) }}
{% call exact.affected_when() %}
    select changes.order_id
    from {{ exact.changes('fact_payments') }} where changes.order_id is not null
{% endcall %}
{% call exact.affected_when() %}
    select orders.order_id
    from {{ exact.changes('int_exchange_rates') }}
    inner join {{ ref('fact_payments') }} as payments
        on payments.currency <> changes.currency and {{ valid_at('changes', 'payments.paid_date') }}
    inner join {{ ref('fact_orders') }} as orders
        on payments.order_id = orders.order_id and changes.currency = orders.currency
    where {{ exact.within_changed('int_exchange_rates', 'payments.paid_date') }}
{% endcall %}
