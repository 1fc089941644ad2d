{{
    config(
        rebuild_key=['month_start'],
        indexes=[{'columns': ['month_start', 'method'], 'unique': true}],
    )
}}

{% call affected_when() %}
    select {{ period_of('month', 'changes.paid_date') }} from {{ changes('fact_payments') }}
{% endcall %}

-- A payment decides, for whatever month, whether a failed one of its order was made good.
{% call affected_when() %}
    select {{ period_of('month', 'others.paid_date') }}
    from {{ changes('fact_payments') }}
    inner join {{ ref('fact_payments') }} as others on changes.order_id = others.order_id
{% endcall %}

-- Where it names no order, the attempts for the same bill of its subscription: between the one that was settled before
-- it and the next that is. Others of the subscription keep their bills.
{% call affected_when() %}
    select {{ period_of('month', 'others.paid_date') }}
    from (
        select
            changes.subscription_id,
            (
                select max(settled.paid_date)
                from {{ ref('fact_payments') }} as settled
                where
                    changes.subscription_id = settled.subscription_id
                    and settled.order_id is null
                    and settled.kind = 'charge'
                    and settled.is_settled
                    and changes.paid_date > settled.paid_date
            ) as settled_before,
            (
                select min(settled.paid_date)
                from {{ ref('fact_payments') }} as settled
                where
                    changes.subscription_id = settled.subscription_id
                    and settled.order_id is null
                    and settled.kind = 'charge'
                    and settled.is_settled
                    and changes.paid_date < settled.paid_date
            ) as settled_after
        from {{ changes('fact_payments') }}
        where changes.order_id is null
    ) as bills
    inner join {{ ref('fact_payments') }} as others
        on
            bills.subscription_id = others.subscription_id
            and others.paid_date >= coalesce(bills.settled_before, others.paid_date)
            and others.paid_date <= coalesce(bills.settled_after, others.paid_date)
    where others.order_id is null
{% endcall %}

with failures as (
    select
        order_id,
        subscription_id
    from {{ ref('fact_payments') }}
    where kind = 'charge' and status = 'failed' and {{ within_affected('month', 'paid_date') }}
),

-- The attempts to pay what an attempt failed to pay in the month, all of them: those of the order, or those of the
-- subscription that it names instead.
charges as (
    select
        attempts.*,
        'order' as paid_for,
        attempts.order_id as paid_id
    from {{ ref('fact_payments') }} as attempts
    where
        attempts.kind = 'charge'
        and attempts.order_id in (select failures.order_id from failures)
    union all
    select
        attempts.*,
        'subscription' as paid_for,
        attempts.subscription_id as paid_id
    from {{ ref('fact_payments') }} as attempts
    where
        attempts.kind = 'charge'
        and attempts.order_id is null
        and attempts.subscription_id in (
            select failures.subscription_id
            from failures
            where failures.order_id is null
        )
),

-- An order is one bill. A subscription is billed again and again, and no payment names the bill: the first one that is
-- settled pays it, and the next attempt is for another.
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
        row_number() over (partition by paid_for, paid_id, bill order by paid_at, payment_id) as attempt,
        max(case when is_settled then 1 else 0 end) over (
            partition by paid_for, paid_id, bill
            order by paid_at, payment_id
            rows between 1 following and unbounded following
        ) as is_settled_later
    from bills
)

select
    {{ period_of('month', 'paid_date') }} as month_start,
    coalesce(method, 'unknown') as method,
    cast(count(*) as integer) as failed_orders,
    cast(coalesce(sum(is_settled_later), 0) as integer) as recovered_orders
from attempts
where attempt = 1 and status = 'failed' and {{ affected(period_of('month', 'paid_date')) }}
group by 1, 2
