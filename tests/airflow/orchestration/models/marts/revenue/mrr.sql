{{ config(rebuild_key=['month_start'], indexes=[{'columns': ['month_start'], 'unique': true}]) }}

{% call exact.affected_when() %}
    select cast('2026-01-01' as date) where not exists (select 1 from {{ this }})
{% endcall %}

select
    cast('2026-01-01' as date) as month_start,
    12.50 as mrr
where {{ exact.affected("cast('2026-01-01' as date)") }}
