{{
    config(
        rebuild_key=['converted_on', 'channel'],
        indexes=[{'columns': ['converted_on', 'channel'], 'unique': true}],
    )
}}

select
    converted_on,
    channel,
    {%- for model in attribution_models() %}
    cast(sum({{ model }}_conversions) as numeric(38, 8)) as {{ model }}_conversions,
    cast(sum({{ model }}_revenue) as numeric(38, 4)) as {{ model }}_revenue
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from {{ ref('conversion_channels') }}
where {{ exact.affected('converted_on', 'channel') }}
group by converted_on, channel

-- The keys that a change upstream affects.
{{ exact.affected_by('conversion_channels', ['converted_on', 'channel']) }}
