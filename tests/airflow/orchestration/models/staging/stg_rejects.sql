select
    cast(null as text) as source,
    cast(null as text) as rule,
    cast(null as date) as landed_on
where false
