{{
    config(
        rebuild_key=['kind', 'source_id'],
        change_log=['converted_on', 'conversion_id'],
        indexes=[
            {'columns': ['kind', 'source_id'], 'unique': true},
            {'columns': ['conversion_id'], 'unique': true},
            {'columns': ['customer_id', 'converted_at']},
        ],
    )
}}

-- An order, and whichever order of its customer is the first one now or was it before.
{% call affected_when() %}
    select 'order', changes.order_id
    from {{ changes('fact_orders') }}
    union
    select 'order', first_orders.order_id
    from (
        select (
            select orders.order_id
            from {{ ref('fact_orders') }} as orders
            where changes.customer_id = orders.customer_id and orders.is_sale
            order by orders.ordered_at asc, orders.order_id asc
            limit 1
        ) as order_id
        from {{ changes('fact_orders') }}
    ) as first_orders
    where first_orders.order_id is not null
    union
    select held.kind, held.source_id
    from {{ changes('fact_orders') }}
    inner join {{ this }} as held on changes.customer_id = held.customer_id
    where held.conversion_type = 'first_order'
{% endcall %}

-- The first paid subscription of a customer is named by the customer.
{% call affected_when() %}
    select 'subscription', changes.customer_id from {{ changes('fact_subscription_periods') }}
{% endcall %}
{% call affected_when() %}
    select 'subscription', periods.customer_id
    from {{ changes('int_exchange_rates') }}
    inner join {{ ref('fact_subscription_periods') }} as periods
        on changes.currency = periods.currency and {{ valid_at('changes', 'periods.paid_from') }}
{% endcall %}

-- Today moved: what was foreseen to be paid on a day is paid now, or no longer.
{% call affected_when() %}
    select 'subscription', periods.customer_id
    from {{ changes('dim_date') }}
    inner join {{ ref('fact_subscription_periods') }} as periods on changes.date_day = periods.paid_from
{% endcall %}

with orders as (
    select
        'order' as kind,
        orders.order_id as source_id,
        case
            when exists (
                select 1
                from {{ ref('fact_orders') }} as earlier
                where
                    orders.customer_id = earlier.customer_id
                    and earlier.is_sale
                    and (
                        earlier.ordered_at < orders.ordered_at
                        or (earlier.ordered_at = orders.ordered_at and earlier.order_id < orders.order_id)
                    )
            ) then 'later_order'
            else 'first_order'
        end as conversion_type,
        orders.customer_id,
        orders.ordered_at as converted_at,
        orders.order_date as converted_on,
        -- What has no rate is no revenue yet.
        coalesce(orders.net_sales, 0) as revenue
    from {{ ref('fact_orders') }} as orders
    where orders.is_sale and {{ affected("'order'", 'orders.order_id') }}
),

paid_periods as (
    select
        *,
        row_number() over (partition by customer_id order by paid_from, subscription_id) as paid_period_number
    from {{ ref('fact_subscription_periods') }}
    where
        paid_from <= {{ last_day() }}
        and monthly_amount > 0
        and {{ affected("'subscription'", 'customer_id') }}
),

subscriptions as (
    select
        'subscription' as kind,
        periods.customer_id as source_id,
        'first_subscription' as conversion_type,
        periods.customer_id,
        {{ paid_at('periods') }} as converted_at,
        periods.paid_from as converted_on,
        coalesce({{ in_reporting_currency('periods.monthly_amount', 'rates.rate') }}, 0) as revenue
    from paid_periods as periods
    left join {{ ref('int_exchange_rates') }} as rates
        on periods.currency = rates.currency and {{ valid_at('rates', 'periods.paid_from') }}
    where periods.paid_period_number = 1
)

select
    kind,
    source_id,
    kind || ':' || source_id as conversion_id,
    conversion_type,
    customer_id,
    converted_at,
    converted_on,
    cast(revenue as numeric(38, 4)) as revenue
from (
    select * from orders
    union all
    select * from subscriptions
) as conversions
