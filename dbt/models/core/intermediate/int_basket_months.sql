{{ config(unit=['order_month'], indexes=[{'columns': ['order_month'], 'unique': true}]) }}

{% call touched_when() %}
    select {{ period_of('month', 'changes.order_date') }} from {{ changes('int_baskets') }}
{% endcall %}

select
    order_month,
    cast(count(distinct order_id) as integer) as orders
from {{ ref('int_baskets') }}
where
    {{ touched('order_month') }}
    and {{ when_touched(
        "order_date >= (select min(order_month) from touched) and order_date < (select "
        ~ plus_periods("month", "max(order_month)", 1) ~ " from touched)"
    ) }}
group by order_month
