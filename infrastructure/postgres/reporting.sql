-- Creates the views of runs for dashboards, as warehouse_owner after raw.sql. Safe to apply again.
-- They belong to the owner and are not models, because no model depends on when and how often
-- something ran. They show names and counts, and no landed data.

create or replace view marts.landed_rows as
select
    landed_on,
    source,
    sum(rows_read)::bigint as rows_read,
    sum(rows_landed)::bigint as rows_landed,
    sum(rows_rejected)::bigint as rows_rejected,
    max(ended_at) as landed_at
from raw.loads
where superseded_by is null
group by landed_on, source;

create or replace view marts.test_runs as
select
    run_id,
    split_part(node_id, '.', case when node_id like 'unit%' then 4 else 3 end) as test_name,
    status,
    failures,
    seconds,
    finished_at
from quality.dbt_results
where node_id like 'test.%' or node_id like 'unit\_test.%';

create or replace view marts.source_freshness as
select
    source,
    landed_at as last_landed_at,
    round((extract(epoch from now() - landed_at) / 3600)::numeric, 1) as age_hours
from (select source, max(landed_at) as landed_at from marts.landed_rows group by source) as newest;

comment on view marts.landed_rows is
'Rows of the live loads of each landed day and source: read, landed, and rejected at landing';
comment on view marts.test_runs is 'The result of each test of the data in each run of dbt';
comment on view marts.source_freshness is 'Hours since each source last landed';

grant select on marts.landed_rows, marts.test_runs, marts.source_freshness to reporter;
