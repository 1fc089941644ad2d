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

with conversions as (
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
                        or (
                            earlier.ordered_at = orders.ordered_at
                            and earlier.order_id < orders.order_id
                        )
                    )
            ) then 'later_order'
            else 'first_order'
        end as conversion_type,
        orders.customer_id,
        orders.ordered_at as converted_at,
        orders.order_date as converted_on,
        -- An order without a rate has no value yet.
        coalesce(orders.net_sales, 0) as revenue
    from {{ ref('fact_orders') }} as orders
    where orders.is_sale and {{ exact.affected("'order'", 'orders.order_id') }}
    union all
    select
        'subscription' as kind,
        customer_id as source_id,
        'first_subscription' as conversion_type,
        customer_id,
        paid_at as converted_at,
        paid_from as converted_on,
        monthly_revenue as revenue
    from {{ ref('int_first_subscriptions') }}
    where {{ exact.affected("'subscription'", 'customer_id') }}
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
from conversions

-- The keys that a change upstream affects: the order, and the orders of its customer that are now,
-- or were before, the first one.
{{ exact.affected_by('int_first_subscriptions', ["'subscription'", 'customer_id']) }}
{{ exact.affected_by('fact_orders', ["'order'", 'order_id']) }}
{% call exact.affected_when() %}
    select 'order', first_orders.order_id
    from (
        select (
            select orders.order_id
            from {{ ref('fact_orders') }} as orders
            where changes.customer_id = orders.customer_id and orders.is_sale
            order by orders.ordered_at asc, orders.order_id asc
            limit 1
        ) as order_id
        from {{ exact.changes('fact_orders') }}
    ) as first_orders
    where first_orders.order_id is not null
    union
    select held.kind, held.source_id
    from {{ exact.changes('fact_orders') }}
    inner join {{ this }} as held on changes.customer_id = held.customer_id
    where held.conversion_type = 'first_order'
{% endcall %}
