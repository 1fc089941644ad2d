{#-
  A view, as each fact has an index of these rows alone. They heal when the dimension arrives, and are gone from here then.
-#}
{% for fact, key, member, day in references() %}
select
    {{ day }} as fact_date,
    '{{ fact }}' as fact,
    '{{ member | replace("_sk", "") }}' as dimension,
    cast(count(*) as bigint) as facts
from {{ ref(fact) }}
where {{ member }} = {{ unknown_key() }} and {{ key }} is not null
group by {{ day }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
