{{
    config(
        unit=['month_start', 'product_id'],
        indexes=[{'columns': ['month_start', 'product_id', 'reason'], 'unique': true}],
    )
}}

{% call touched_when() %}
    select {{ period_of('month', 'changes.returned_date') }}, coalesce(changes.product_id, '')
    from {{ changes('fact_returns') }}
    union
    select {{ period_of('month', 'changes.order_date') }}, changes.product_id
    from {{ changes('fact_order_items') }}
{% endcall %}

with returns as (
    select
        {{ period_of('month', 'returned_date') }} as month_start,
        coalesce(product_id, '') as product_id,
        coalesce(reason, 'unknown') as reason,
        quantity,
        refund_revenue
    from {{ ref('fact_returns') }}
    -- What came back of an order that is not known (yet) did come back.
    where (is_sale or order_id is null) and {{ within_touched_months('returned_date') }}
),

sold as (
    select
        {{ period_of('month', 'order_date') }} as month_start,
        product_id,
        sum(quantity) as units_sold
    from {{ ref('fact_order_items') }}
    where is_sale and {{ within_touched_months('order_date') }}
    group by 1, 2
),

reasons as (
    select
        month_start,
        product_id,
        reason,
        count(*) as returns,
        sum(quantity) as units_returned,
        sum(refund_revenue) as refund_amount
    from returns
    group by month_start, product_id, reason
),

-- All reasons together have a row for what was sold and not returned, too.
all_reasons as (
    select
        coalesce(sold.month_start, returned.month_start) as month_start,
        coalesce(sold.product_id, returned.product_id) as product_id,
        'all' as reason,
        coalesce(returned.returns, 0) as returns,
        coalesce(returned.units_returned, 0) as units_returned,
        returned.refund_amount
    from sold
    full join (
        select
            month_start,
            product_id,
            sum(returns) as returns,
            sum(units_returned) as units_returned,
            sum(refund_amount) as refund_amount
        from reasons
        group by month_start, product_id
    ) as returned on sold.month_start = returned.month_start and sold.product_id = returned.product_id
),

figures as (
    select * from reasons
    union all
    select * from all_reasons
)

select
    figures.month_start,
    figures.product_id,
    figures.reason,
    cast(figures.returns as integer) as returns,
    cast(figures.units_returned as bigint) as units_returned,
    cast(coalesce(sold.units_sold, 0) as bigint) as units_sold,
    cast(cast(figures.units_returned as numeric(18, 4)) / sold.units_sold as numeric(18, 4)) as return_rate,
    cast(coalesce(figures.refund_amount, 0) as numeric(38, 4)) as refund_amount
from figures
left join sold on figures.month_start = sold.month_start and figures.product_id = sold.product_id
where {{ touched('figures.month_start', 'figures.product_id') }}
