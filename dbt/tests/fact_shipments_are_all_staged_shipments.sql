{#- Every shipment in staging is a fact, once. -#}
select
    (select count(*) from {{ ref('stg_shipments') }}) as staged,
    (select count(*) from {{ ref('fact_shipments') }}) as facts
where
    (select count(*) from {{ ref('stg_shipments') }})
    <> (select count(*) from {{ ref('fact_shipments') }})
