{#-
  The origin of the personal data that was found in JSON and masked, so that somebody can notify its
  source.
-#}
select
    'events' as source,
    _landed_on as landed_on,
    _file as file,
    _line as line,
    event_id as key,
    personal_data as kinds
from {{ ref('base_events') }}
where personal_data is not null
