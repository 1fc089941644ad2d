{{
    config(
        rebuild_key=['month_start', 'product_id'],
        indexes=[{'columns': ['month_start', 'product_id', 'reason'], 'unique': true}],
    )
}}

-- A return of an order that is not known (yet) counts as returned. 'all' is the row of all reasons,
-- so a reason of that name counts as unknown.
with returns as (
    select
        {{ period_of('month', 'returned_date') }} as month_start,
        coalesce(product_id, '') as product_id,
        coalesce(nullif(reason, 'all'), 'unknown') as reason,
        quantity as units_returned,
        coalesce(refund_revenue, 0) as refund_amount
    from {{ ref('fact_returns') }}
    where (is_sale or order_id is null) and {{ within_affected('month', 'returned_date') }}
),

moves as (
    {% for reason in ['reason', "'all'"] -%}
    select
        month_start,
        product_id,
        {{ reason }} as reason,
        1 as returns,
        units_returned,
        0 as units_sold,
        refund_amount
    from returns
    union all
    {% endfor -%}
    select
        month_start,
        product_id,
        'all' as reason,
        0 as returns,
        0 as units_returned,
        units as units_sold,
        0 as refund_amount
    from {{ ref('int_product_sales') }}
    where {{ exact.affected('month_start', 'product_id') }}
),

reasons as (
    select
        month_start,
        product_id,
        reason,
        sum(returns) as returns,
        sum(units_returned) as units_returned,
        sum(units_sold) as units_sold,
        sum(refund_amount) as refund_amount
    from moves
    where {{ exact.affected('month_start', 'product_id') }}
    group by month_start, product_id, reason
),

-- Sales are in the row of all reasons, and each reason is compared with them.
figures as (
    select
        month_start,
        product_id,
        reason,
        returns,
        units_returned,
        sum(units_sold) over (partition by month_start, product_id) as units_sold,
        refund_amount
    from reasons
)

select
    month_start,
    product_id,
    reason,
    cast(returns as integer) as returns,
    cast(units_returned as bigint) as units_returned,
    cast(units_sold as bigint) as units_sold,
    {{ ratio('units_returned', 'units_sold') }} as return_rate,
    cast(refund_amount as numeric(38, 4)) as refund_amount
from figures

-- The keys that a change upstream affects.
{{ exact.affected_by('int_product_sales', ['month_start', 'product_id']) }}
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.returned_date') }}, coalesce(changes.product_id, '')
    from {{ exact.changes('fact_returns') }}
{% endcall %}
