{{
    config(
        rebuild_key=['month_start'],
        indexes=[{'columns': ['month_start', 'channel', 'model'], 'unique': true}],
    )
}}

{% call affected_when() %}
    select {{ period_of('month', 'changes.converted_on') }} from {{ changes('channel_conversions') }}
    union
    select {{ period_of('month', 'changes.spend_date') }} from {{ changes('fact_ad_spend') }}
{% endcall %}

with daily as (
    select * from {{ ref('channel_conversions') }}
    where {{ within_affected('month', 'converted_on') }}
),

-- One row for each model, so that channels can be compared by any of them.
conversions as (
    {% for model in attribution_models() -%}
    select
        {{ period_of('month', 'converted_on') }} as month_start,
        channel,
        '{{ model }}' as model,
        sum({{ model }}_conversions) as conversions,
        sum({{ model }}_revenue) as revenue
    from daily
    group by {{ period_of('month', 'converted_on') }}, channel
    {{ "union all" if not loop.last }}
    {% endfor %}
),

spending as (
    select
        {{ period_of('month', 'spend_date') }} as month_start,
        channel,
        -- What has no rate is no cost yet.
        coalesce(sum(spend), 0) as spend
    from {{ ref('fact_ad_spend') }}
    where {{ within_affected('month', 'spend_date') }}
    group by {{ period_of('month', 'spend_date') }}, channel
),

spending_by_model as (
    {% for model in attribution_models() -%}
    select month_start, channel, '{{ model }}' as model, spend from spending
    {{ "union all" if not loop.last }}
    {% endfor %}
),

performance as (
    select
        coalesce(conversions.month_start, spending.month_start) as month_start,
        coalesce(conversions.channel, spending.channel) as channel,
        coalesce(conversions.model, spending.model) as model,
        coalesce(conversions.conversions, 0) as conversions,
        coalesce(conversions.revenue, 0) as revenue,
        coalesce(spending.spend, 0) as spend
    from conversions
    full join spending_by_model as spending
        on
            conversions.month_start = spending.month_start
            and conversions.channel = spending.channel
            and conversions.model = spending.model
)

select
    month_start,
    channel,
    model,
    cast(conversions as numeric(38, 8)) as conversions,
    cast(revenue as numeric(38, 4)) as revenue,
    cast(spend as numeric(38, 4)) as spend,
    cast(spend / nullif(conversions, 0) as numeric(38, 4)) as cpa,
    cast(revenue / nullif(spend, 0) as numeric(38, 4)) as roas
from performance
where {{ affected('month_start') }}
