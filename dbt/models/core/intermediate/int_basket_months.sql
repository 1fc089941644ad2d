{{ config(rebuild_key=['month_start'], indexes=[{'columns': ['month_start'], 'unique': true}]) }}

select
    month_start,
    cast(count(distinct order_id) as integer) as orders
from {{ ref('int_baskets') }}
where {{ within_affected('month', 'order_date') }}
group by month_start

-- The keys that a change upstream affects.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.order_date') }} from {{ exact.changes('int_baskets') }}
{% endcall %}
