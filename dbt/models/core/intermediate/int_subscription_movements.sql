{{
    config(
        rebuild_key=['subscription_id'],
        indexes=[
            {'columns': ['subscription_id', 'currency', 'movement_date'], 'unique': true},
            {'columns': ['movement_date']},
        ],
    )
}}

with periods as (
    select * from {{ ref('fact_subscription_periods') }}
    where paid_from is not null and monthly_amount > 0 and {{ exact.affected('subscription_id') }}
),

-- A period adds its amount on its first paid day and subtracts it on the day after its last.
edges as (
    select
        subscription_id,
        currency,
        paid_from as movement_date,
        monthly_amount as amount
    from periods
    union all
    select
        subscription_id,
        currency,
        period_end as movement_date,
        -monthly_amount as amount
    from periods
    where period_end is not null
),

daily_changes as (
    select
        subscription_id,
        currency,
        movement_date,
        sum(amount) as amount_change
    from edges
    group by subscription_id, currency, movement_date
),

balances as (
    select
        *,
        sum(amount_change) over (
            partition by subscription_id, currency order by movement_date
        ) as monthly_amount,
        min(movement_date) over (partition by subscription_id, currency) as first_date
    from daily_changes
)

-- The next period at the same price is not a movement.
select
    subscription_id,
    currency,
    movement_date,
    cast(monthly_amount - amount_change as numeric(38, 4)) as previous_monthly_amount,
    cast(monthly_amount as numeric(38, 4)) as monthly_amount,
    cast(amount_change as numeric(38, 4)) as amount_change,
    case
        when movement_date = first_date then 'new'
        when monthly_amount = amount_change then 'reactivation'
        when monthly_amount = 0 then 'churn'
        when amount_change > 0 then 'expansion'
        else 'contraction'
    end as movement
from balances
where amount_change <> 0

-- The keys that a change upstream affects.
{{ exact.affected_by('fact_subscription_periods', ['subscription_id']) }}
