{#-
  Every rejected row, and the reason: at landing (the record could not be a row) or here (the row
  broke its contract).
-#}
select
    rejects.source,
    rejects.landed_on,
    rejects.file,
    rejects.line,
    cast(null as text) as key,
    rejects.reason as rule,
    rejects.original
from {{ source('raw', 'rejects') }} as rejects
inner join {{ source('raw', 'loads') }} as loads on rejects.load_id = loads.load_id
where loads.superseded_by is null
{% for source, columns in landed_sources().items() %}
union all
select
    '{{ source }}' as source,
    _landed_on as landed_on,
    _file as file,
    _line as line,
    {{ key_of_row(columns) }} as key,
    _reject_rule as rule,
    _original as original
from {{ ref('base_' ~ source) }}
where _row_status = 'rejected'
{% endfor %}
