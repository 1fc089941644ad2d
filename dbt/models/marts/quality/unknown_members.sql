{#-
  A view: each fact has an index of only these rows. They leave it when their dimension row arrives.
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
