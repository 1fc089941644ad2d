{{
    config(
        materialized='landed',
        source='ad_spend',
        key=['spend_date', 'channel', 'campaign'],
        change_log=['spend_date', 'channel', 'campaign'],
        indexes=[
            {'columns': ['spend_date', 'channel', 'campaign']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

{% set columns = ['spend_date', 'channel', 'campaign', 'spend', 'currency', 'clicks', 'impressions'] %}

with raw_rows as (
    {{ landed_documents(source('raw', 'ad_spend'), columns) }}
),

typed as (
    select
        {{ read_date('spend_date') }} as spend_date,
        {{ tidy('channel') }} as channel,
        {{ tidy('campaign') }} as campaign,
        {{ read_decimal('spend') }} as spend,
        {{ currency_code('currency') }} as currency,
        {{ read_integer('clicks') }} as clicks,
        {{ read_integer('impressions') }} as impressions,
        spend_date as raw_spend_date,
        spend as raw_spend,
        currency as raw_currency,
        clicks as raw_clicks,
        impressions as raw_impressions,
        _original,
        _landed_on,
        _file,
        _line,
        _load_id
    from raw_rows
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['channel']) }}
            {{ reject_too_long(['channel', 'campaign']) }}
            {{ reject_missing(['raw_spend_date', 'raw_spend']) }}
            {{ reject_unreadable(['spend_date', 'spend', 'clicks', 'impressions']) }}
            {{ reject_unknown_currency(['currency']) }}
            {{ reject_absurd_day(['spend_date']) }}
            {{ reject_negative(['spend', 'clicks', 'impressions']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    spend_date,
    channel,
    coalesce(campaign, '(not set)') as campaign,
    spend,
    currency,
    clicks,
    impressions,
    spend_date < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
