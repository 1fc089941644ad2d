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

{% set columns = [
    'spend_date', 'channel', 'campaign', 'spend', 'currency', 'clicks', 'impressions',
] %}

with raw_rows as (
    {{ landed_documents(source('raw', 'ad_spend'), columns) }}
),

typed as (
    select
        raw_rows.*,
        {{ read_date('raw_spend_date') }} as spend_date,
        {{ tidy('raw_channel') }} as channel,
        {{ tidy('raw_campaign') }} as campaign,
        {{ read_decimal('raw_spend') }} as spend,
        currencies.code as currency,
        {{ read_integer('raw_clicks') }} as clicks,
        {{ read_integer('raw_impressions') }} as impressions
    from raw_rows
    left join {{ ref('currencies') }} as currencies
        on upper(raw_rows.raw_currency) = currencies.code
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
