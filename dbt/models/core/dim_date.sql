{{ config(rebuild_key=['date_day'], indexes=[{'columns': ['date_day'], 'unique': true}]) }}

with days as (
    select spine.date_day
    from {{ ref('landed_span') }} as span
    cross join lateral ({{ days_between('span.first_day', 'span.last_day') }}) as spine
)

select
    date_day,
    {{ year_of('date_day') }} as year_number,
    {{ month_of('date_day') }} as month_number,
    {{ iso_weekday('date_day') }} as iso_weekday,
    {{ iso_weekday('date_day') }} >= 6 as is_weekend,
    {{ period_of('week', 'date_day') }} as week_start,
    {{ period_of('month', 'date_day') }} as month_start,
    {{ period_of('quarter', 'date_day') }} as quarter_start
from days
where {{ exact.affected('date_day') }}

-- The keys that a change upstream affects: the landed days that the calendar lacks, and its days
-- that no longer have a load.
{% call exact.affected_when() %}
    select spine.date_day
    from {{ ref('landed_span') }} as span
    cross join lateral ({{ days_between('span.first_day', 'span.last_day') }}) as spine
    where spine.date_day not in (select date_day from {{ this }})
    union all
    select held.date_day
    from {{ this }} as held
    cross join {{ ref('landed_span') }} as span
    where held.date_day < span.first_day or held.date_day > span.last_day or span.first_day is null
{% endcall %}
