{{
    config(
        rebuild_key=['spend_date', 'channel', 'campaign'],
        indexes=[{'columns': ['spend_date', 'channel', 'campaign'], 'unique': true}],
    )
}}

{{ affected_by('stg_ad_spend', ['spend_date', 'channel', 'campaign']) }}

{% call affected_when() %}
    select spending.spend_date, spending.channel, spending.campaign
    from {{ changes('int_exchange_rates') }}
    inner join {{ ref('stg_ad_spend') }} as spending
        on
            changes.currency = coalesce(spending.currency, '{{ var("reporting_currency") }}')
            and {{ valid_at('changes', 'spending.spend_date') }}
{% endcall %}

with spending as (
    select
        *,
        coalesce(currency, '{{ var("reporting_currency") }}') as spend_currency
    from {{ ref('stg_ad_spend') }}
    where {{ affected('spend_date', 'channel', 'campaign') }}
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
    on spending.spend_currency = rates.currency and {{ valid_at('rates', 'spending.spend_date') }}
