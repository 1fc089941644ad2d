{{
    config(
        rebuild_key=['month_start'],
        indexes=[{'columns': ['month_start', 'method'], 'unique': true}],
    )
}}

with payments as (
    select
        *,
        {{ period_of('month', 'paid_date') }} as month_start,
        coalesce(method, 'unknown') as paid_by
    from {{ ref('fact_payments') }}
    where {{ within_affected('month', 'paid_date') }}
),

paid as (
    select
        month_start,
        paid_by as method,
        count(case when kind = 'charge' then 1 end) as payments,
        count(case when kind = 'charge' and is_settled then 1 end) as succeeded,
        count(case when kind = 'charge' and status = 'failed' then 1 end) as failed,
        sum(case when kind = 'charge' and is_settled then reporting_amount end) as charged,
        sum(case when kind = 'refund' and is_settled then reporting_amount end) as refunded,
        sum(refunded_goods_amount) as refunds
    from payments
    group by month_start, paid_by
),

sales as (
    select
        {{ period_of('month', 'order_date') }} as month_start,
        method,
        count(*) as orders,
        sum(net_sales) as net_sales
    from {{ ref('int_order_settlements') }}
    where {{ within_affected('month', 'order_date') }}
    group by 1, 2
),

figures as (
    select
        coalesce(paid.month_start, sales.month_start) as month_start,
        coalesce(paid.method, sales.method) as method,
        coalesce(paid.payments, 0) as payments,
        coalesce(paid.succeeded, 0) as succeeded,
        coalesce(paid.failed, 0) as failed,
        coalesce(paid.charged, 0) as charged,
        coalesce(paid.refunded, 0) as refunded,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.net_sales, 0) as net_sales,
        coalesce(paid.refunds, 0) as refunds
    from paid
    full join sales on paid.month_start = sales.month_start and paid.method = sales.method
),

compared as (
    select
        figures.*,
        sum(figures.payments) over (partition by figures.month_start) as payments_of_month,
        coalesce(retries.failed_orders, 0) as failed_orders,
        coalesce(retries.recovered_orders, 0) as recovered_orders
    from figures
    left join {{ ref('int_payment_retries') }} as retries
        on figures.month_start = retries.month_start and figures.method = retries.method
)

select
    month_start,
    method,
    cast(payments as integer) as payments,
    cast(succeeded as integer) as succeeded,
    cast(failed as integer) as failed,
    {{ ratio('payments', 'payments_of_month') }} as payment_share,
    {{ ratio('failed', 'payments') }} as failure_rate,
    cast(failed_orders as integer) as failed_orders,
    cast(recovered_orders as integer) as recovered_orders,
    {{ ratio('recovered_orders', 'failed_orders') }} as retry_success_rate,
    cast(charged as numeric(38, 4)) as charged,
    cast(refunded as numeric(38, 4)) as refunded,
    cast(orders as integer) as orders,
    cast(net_sales as numeric(38, 4)) as net_sales,
    cast(refunds as numeric(38, 4)) as refunds,
    cast(net_sales - refunds as numeric(38, 4)) as net_revenue
from compared
where {{ exact.affected('month_start') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('int_payment_retries', ['month_start']) }}
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.paid_date') }} from {{ exact.changes('fact_payments') }}
    union
    select {{ period_of('month', 'changes.order_date') }}
    from {{ exact.changes('int_order_settlements') }}
{% endcall %}
