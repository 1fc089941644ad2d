{{
    config(
        rebuild_key=['currency'],
        window={'from': 'valid_from', 'to': 'valid_to', 'derived': []},
        indexes=[{'columns': ['currency', 'valid_from'], 'unique': true}],
    )
}}

{% set reporting_currency = var("reporting_currency") %}
{% set beginning = "cast('0001-01-01' as date)" %}

-- The first known rate of a currency is valid before its day as well.
with quoted as (
    select
        currency,
        case
            when row_number() over (partition by currency order by rate_date) = 1
                then {{ beginning }}
            else rate_date
        end as rate_date,
        usd_rate
    from {{ ref('stg_fx_rates') }}
    where
        currency <> 'USD'
        and ({{ exact.affected('currency') }} or currency = '{{ reporting_currency }}')
    union all
    select
        'USD' as currency,
        {{ beginning }} as rate_date,
        cast(1 as numeric(18, 8)) as usd_rate
),

reporting as (
    select
        rate_date,
        usd_rate
    from quoted
    where currency = '{{ reporting_currency }}'
),

-- The days on which one of the two rates changes.
days as (
    select
        currency,
        rate_date
    from quoted
    union
    select
        currencies.currency,
        reporting.rate_date
    from (select distinct currency from quoted) as currencies
    cross join reporting
),

numbered as (
    select
        days.currency,
        days.rate_date,
        quoted.usd_rate,
        reporting.usd_rate as reporting_usd_rate,
        count(quoted.usd_rate) over by_day as rate_number,
        count(reporting.usd_rate) over by_day as reporting_rate_number
    from days
    left join quoted on days.currency = quoted.currency and days.rate_date = quoted.rate_date
    left join reporting on days.rate_date = reporting.rate_date
    window by_day as (partition by days.currency order by days.rate_date)
),

-- On each of these days, the last known rate of both.
known as (
    select
        currency,
        rate_date,
        max(usd_rate) over (partition by currency, rate_number) as usd_rate,
        max(reporting_usd_rate) over (
            partition by currency, reporting_rate_number
        ) as reporting_usd_rate
    from numbered
)

select
    currency,
    rate_date as valid_from,
    lead(rate_date) over (partition by currency order by rate_date) as valid_to,
    cast(usd_rate / reporting_usd_rate as numeric(18, 8)) as rate
from known
where
    currency <> '{{ reporting_currency }}'
    and reporting_usd_rate is not null
    and {{ exact.affected('currency') }}
union all
select
    '{{ reporting_currency }}' as currency,
    {{ beginning }} as valid_from,
    cast(null as date) as valid_to,
    cast(1 as numeric(18, 8)) as rate
where {{ exact.affected("'" ~ reporting_currency ~ "'") }}

-- The keys that a change upstream affects: all rates of the currency, which are few. The rate of
-- the reporting currency affects all others, including the dollar's, which no source quotes.
{{ exact.affected_by('stg_fx_rates', ['currency']) }}
{% call exact.affected_when() %}
    select others.currency
    from (
        select rates.currency from {{ ref('stg_fx_rates') }} as rates
        union distinct
        select 'USD'
    ) as others
    where
        exists (
            select 1
            from {{ exact.changes('stg_fx_rates') }}
            where changes.currency = '{{ reporting_currency }}'
        )
{% endcall %}
