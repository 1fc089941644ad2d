{{
    config(
        materialized='landed',
        source='fx_rates',
        key=['rate_date', 'currency'],
        indexes=[
            {'columns': ['rate_date', 'currency']},
            {'columns': ['_load_id', '_row_status']},
        ],
    )
}}

with raw_rows as (
    {{ landed_columns(source('raw', 'fx_rates'), ['rate_date', 'currency', 'usd_rate']) }}
),

typed as (
    select
        raw_rows.*,
        {{ read_date('raw_rate_date') }} as rate_date,
        currencies.code as currency,
        {{ read_decimal('raw_usd_rate', scale=8) }} as usd_rate
    from raw_rows
    left join {{ ref('currencies') }} as currencies
        on upper(raw_rows.raw_currency) = currencies.code
    {{ evaluated_once() }}
),

judged as (
    select
        *,
        case
            {{ reject_missing(['raw_currency', 'raw_rate_date', 'raw_usd_rate']) }}
            {{ reject_unreadable(['rate_date', 'usd_rate']) }}
            {{ reject_unknown_currency(['currency']) }}
            {{ reject_absurd_day(['rate_date']) }}
            {{ reject_not_positive(['usd_rate']) }}
        end as _reject_rule
    from typed
    {{ evaluated_once() }}
)

select
    rate_date,
    currency,
    usd_rate,
    rate_date < _landed_on as is_late,
    {{ verdict_columns() }}
from judged
