{{
    config(
        rebuild_key=['month_start'],
        change_log=['month_start', 'valued_on'],
        indexes=[{'columns': ['month_start'], 'unique': true}],
    )
}}

select
    month_start,
    max(date_day) as valued_on
from {{ ref('dim_date') }}
where {{ exact.affected('month_start') }}
group by month_start

-- The keys that a change upstream affects.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.date_day') }} from {{ exact.changes('dim_date') }}
{% endcall %}
