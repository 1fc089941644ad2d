{{
    config(
        rebuild_key=['month_start'],
        indexes=[{'columns': ['month_start', 'channel', 'model'], 'unique': true}],
    )
}}

with daily as (
    select * from {{ ref('channel_conversions') }}
    where {{ within_affected('month', 'converted_on') }}
),

-- Spending without a rate is not a cost yet.
spending as (
    select
        {{ period_of('month', 'spend_date') }} as month_start,
        channel,
        coalesce(sum(spend), 0) as spend
    from {{ ref('fact_ad_spend') }}
    where {{ within_affected('month', 'spend_date') }}
    group by {{ period_of('month', 'spend_date') }}, channel
),

-- One row for each model, so that channels can be compared by any of them.
figures as (
    {% for model in attribution_models() -%}
    select
        {{ period_of('month', 'converted_on') }} as month_start,
        channel,
        '{{ model }}' as model,
        sum({{ model }}_conversions) as conversions,
        sum({{ model }}_revenue) as revenue,
        0 as spend
    from daily
    group by {{ period_of('month', 'converted_on') }}, channel
    union all
    select
        month_start,
        channel,
        '{{ model }}' as model,
        0 as conversions,
        0 as revenue,
        spend
    from spending
    {{ "union all" if not loop.last }}
    {% endfor %}
),

performance as (
    select
        month_start,
        channel,
        model,
        cast(sum(conversions) as numeric(38, 8)) as conversions,
        cast(sum(revenue) as numeric(38, 4)) as revenue,
        cast(sum(spend) as numeric(38, 4)) as spend
    from figures
    group by month_start, channel, model
)

select
    month_start,
    channel,
    model,
    conversions,
    revenue,
    spend,
    cast(spend / nullif(conversions, 0) as numeric(38, 4)) as cpa,
    cast(revenue / nullif(spend, 0) as numeric(38, 4)) as roas
from performance
where {{ exact.affected('month_start') }}

-- The keys that a change upstream affects.
{% call exact.affected_when() %}
    select {{ period_of('month', 'changes.converted_on') }}
    from {{ exact.changes('channel_conversions') }}
    union
    select {{ period_of('month', 'changes.spend_date') }} from {{ exact.changes('fact_ad_spend') }}
{% endcall %}
