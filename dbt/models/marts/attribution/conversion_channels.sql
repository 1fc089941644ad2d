{{
    config(
        rebuild_key=['converted_on', 'conversion_id'],
        change_log=['converted_on', 'channel'],
        indexes=[
            {'columns': ['converted_on', 'conversion_id', 'channel'], 'unique': true},
            {'columns': ['converted_on', 'channel']},
        ],
    )
}}

-- A step between the touches and the days of a channel. A late visit changes some conversions of a
-- day. The others are read here, with a row for each channel instead of one for each touch.
select
    conversion_id,
    channel,
    converted_on,
    cast(count(session_id) as integer) as touches,
    {%- for model in attribution_models() %}
    cast(sum({{ model }}_conversions) as numeric(38, 8)) as {{ model }}_conversions,
    cast(sum({{ model }}_revenue) as numeric(38, 4)) as {{ model }}_revenue
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from {{ ref('attribution_touches') }}
where {{ exact.affected('converted_on', 'conversion_id') }}
group by conversion_id, channel, converted_on

-- The keys that a change upstream affects.
{{ exact.affected_by('attribution_touches', ['converted_on', 'conversion_id']) }}
