{#-
  Over all channels, each attribution model has the month's conversions, their revenue and the
  costs of advertising.
-#}
with performance as (
    select
        month_start,
        model,
        sum(conversions) as conversions,
        sum(revenue) as revenue,
        sum(spend) as spend
    from {{ ref('channel_performance') }}
    group by month_start, model
),

conversions as (
    select
        {{ period_of('month', 'converted_on') }} as month_start,
        count(*) as conversions,
        sum(revenue) as revenue
    from {{ ref('int_conversions') }}
    group by {{ period_of('month', 'converted_on') }}
),

spending as (
    select
        {{ period_of('month', 'spend_date') }} as month_start,
        sum(spend) as spend
    from {{ ref('fact_ad_spend') }}
    group by {{ period_of('month', 'spend_date') }}
),

models as (
    {% for model in attribution_models() -%}
    select '{{ model }}' as model
    {{ "union all" if not loop.last }}
    {% endfor %}
),

expected as (
    select
        models.model,
        coalesce(conversions.month_start, spending.month_start) as month_start,
        coalesce(conversions.conversions, 0) as conversions,
        coalesce(conversions.revenue, 0) as revenue,
        coalesce(spending.spend, 0) as spend
    from conversions
    full join spending on conversions.month_start = spending.month_start
    cross join models
)

select
    coalesce(performance.month_start, expected.month_start) as month_start,
    coalesce(performance.model, expected.model) as model,
    performance.conversions,
    expected.conversions as expected_conversions,
    performance.revenue,
    expected.revenue as expected_revenue,
    performance.spend,
    expected.spend as expected_spend
from performance
full join expected
    on
        performance.month_start = expected.month_start
        and performance.model = expected.model
where
    performance.month_start is null
    or expected.month_start is null
    or performance.conversions <> expected.conversions
    or performance.revenue <> expected.revenue
    or performance.spend <> expected.spend
