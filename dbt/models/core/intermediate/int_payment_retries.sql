{{
    config(
        rebuild_key=['month_start'],
        indexes=[{'columns': ['month_start', 'method'], 'unique': true}],
    )
}}

select
    {{ period_of('month', 'failed_on') }} as month_start,
    method,
    cast(count(*) as integer) as failed_orders,
    cast(count(case when is_recovered then 1 end) as integer) as recovered_orders
from {{ ref('int_failed_bills') }}
where {{ within_affected('month', 'failed_on') }}
group by 1, 2

-- The keys that a change upstream affects.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.failed_on') }}
    from {{ exact.changes('int_failed_bills') }}
{% endcall %}
