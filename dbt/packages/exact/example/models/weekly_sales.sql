{{
    config(
        rebuild_key=['ordered_on'],
        indexes=[{'columns': ['ordered_on'], 'unique': true}],
    )
}}

-- A sale affects its own day, which may be gone, and the sums of the six days after it.
{{ exact.affected_by('sales', ['ordered_on']) }}
{% call exact.affected_when() %}
    select later.ordered_on
    from {{ exact.changes('sales') }}
    inner join {{ ref('sales') }} as later
        on later.ordered_on > changes.ordered_on and later.ordered_on <= changes.ordered_on + 6
{% endcall %}

with daily as (
    select
        ordered_on,
        sum(amount) as amount
    from {{ ref('sales') }}
    where {{ exact.when_affected(
        "ordered_on >= (select min(ordered_on) - 6 from affected)"
        ~ " and ordered_on <= (select max(ordered_on) from affected)"
    ) }}
    group by ordered_on
),

summed as (
    select
        ordered_on,
        amount,
        sum(amount) over (
            order by ordered_on range between interval '6 days' preceding and current row
        ) as amount_of_week
    from daily
)

select
    ordered_on,
    amount,
    amount_of_week
from summed
where {{ exact.affected('ordered_on') }}
