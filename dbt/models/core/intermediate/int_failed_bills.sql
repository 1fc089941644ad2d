{{
    config(
        rebuild_key=['paid_for', 'paid_id'],
        change_log=['paid_for', 'paid_id', 'failed_on'],
        indexes=[
            {'columns': ['paid_for', 'paid_id', 'bill'], 'unique': true},
            {'columns': ['failed_on']},
        ],
    )
}}

-- The attempts to pay, each for its order or else for its subscription.
with charges as (
    select
        *,
        'order' as paid_for,
        order_id as paid_id
    from {{ ref('fact_payments') }}
    where kind = 'charge' and order_id is not null and {{ exact.affected("'order'", 'order_id') }}
    union all
    select
        *,
        'subscription' as paid_for,
        subscription_id as paid_id
    from {{ ref('fact_payments') }}
    where
        kind = 'charge'
        and order_id is null
        and subscription_id is not null
        and {{ exact.affected("'subscription'", 'subscription_id') }}
),

-- An order is one bill. A subscription is billed repeatedly, and no payment names its bill: the
-- first settled attempt pays it, and the next attempt is for another one.
bills as (
    select
        *,
        case
            when paid_for = 'order' then 0
            else count(case when is_settled then 1 end) over (
                partition by paid_for, paid_id
                order by paid_at, payment_id
                rows between unbounded preceding and 1 preceding
            )
        end as bill
    from charges
),

attempts as (
    select
        *,
        row_number() over (
            partition by paid_for, paid_id, bill order by paid_at, payment_id
        ) as attempt,
        max(case when is_settled then 1 else 0 end) over (
            partition by paid_for, paid_id, bill
            order by paid_at, payment_id
            rows between 1 following and unbounded following
        ) as is_settled_later
    from bills
)

select
    paid_for,
    paid_id,
    cast(bill as integer) as bill,
    paid_date as failed_on,
    coalesce(method, 'unknown') as method,
    coalesce(is_settled_later, 0) = 1 as is_recovered
from attempts
where attempt = 1 and status = 'failed'

-- The keys that a change upstream affects: all bills of the order or subscription, which are few.
{% call exact.affected_when() %}
    select 'order', changes.order_id
    from {{ exact.changes('fact_payments') }}
    where changes.order_id is not null
    union
    select 'subscription', changes.subscription_id
    from {{ exact.changes('fact_payments') }}
    where changes.order_id is null and changes.subscription_id is not null
{% endcall %}
