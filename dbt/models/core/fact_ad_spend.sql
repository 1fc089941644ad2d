{{
    config(
        rebuild_key=['spend_date', 'channel', 'campaign'],
        indexes=[{'columns': ['spend_date', 'channel', 'campaign'], 'unique': true}],
    )
}}

with spending as (
    select
        *,
        {{ own_or_reporting_currency('currency') }} as spend_currency
    from {{ ref('stg_ad_spend') }}
    where {{ exact.affected('spend_date', 'channel', 'campaign') }}
)

select
    spending.spend_date,
    spending.channel,
    spending.campaign,
    spending.spend_currency as currency,
    spending.spend as amount,
    rates.rate as exchange_rate,
    {{ in_reporting_currency('spending.spend', 'rates.rate') }} as spend,
    spending.clicks,
    spending.impressions
from spending
left join {{ ref('int_exchange_rates') }} as rates
    on
        spending.spend_currency = rates.currency
        and {{ valid_at('rates', 'spending.spend_date') }}

-- The keys that a change upstream affects.
{{ exact.affected_by('stg_ad_spend', ['spend_date', 'channel', 'campaign']) }}
{{ affected_by_rates(ref('stg_ad_spend'), 'spend_date', ['spend_date', 'channel', 'campaign']) }}
