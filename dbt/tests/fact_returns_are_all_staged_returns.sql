{#- Every return in staging is a fact, once. -#}
select
    (select count(*) from {{ ref('stg_returns') }}) as staged,
    (select count(*) from {{ ref('fact_returns') }}) as facts
where
    (select count(*) from {{ ref('stg_returns') }})
    <> (select count(*) from {{ ref('fact_returns') }})
