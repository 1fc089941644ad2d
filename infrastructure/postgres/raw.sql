-- Creates the load log, as warehouse_owner after warehouse.sql. Safe to apply again.
-- Landing creates the tables of the sources itself, as loader, from saas_analytics/contracts.

create table if not exists raw.loads (
    load_id bigint generated always as identity primary key,
    source text not null,
    landed_on date not null,
    delivered_on date not null,
    origin text not null check (origin in ('zone', 'file')),
    name text,
    mapping text,
    mapping_sha256 text,
    files jsonb not null,
    content_sha256 text not null,
    rows_read bigint not null default 0,
    rows_landed bigint not null default 0,
    rows_rejected bigint not null default 0,
    rows_left_out bigint not null default 0,
    started_at timestamptz not null,
    ended_at timestamptz,
    superseded_by bigint references raw.loads (load_id),
    check ((origin = 'file') = (name is not null)),
    check (rows_read = rows_landed + rows_rejected + rows_left_out),
    -- One live load for a source and day of the landing zone. Checked at commit, because the new
    -- load is written before the old one can point to it.
    constraint loads_one_live_per_day exclude (source with =, landed_on with =)
    where (origin = 'zone' and superseded_by is null) deferrable initially deferred
);

-- For older warehouses: before this column, each delivery was of the day on which it arrived.
alter table raw.loads add column if not exists delivered_on date;
update raw.loads set delivered_on = landed_on
where delivered_on is null;
alter table raw.loads alter column delivered_on set not null;

alter table raw.loads add column if not exists retired_at timestamptz;

create index if not exists loads_by_file on raw.loads (source, content_sha256)
where origin = 'file';

create table if not exists raw.touched_days (
    load_id bigint not null references raw.loads (load_id),
    source text not null,
    event_day date not null,
    rows_brought bigint not null default 0,
    rows_taken_away bigint not null default 0,
    primary key (load_id, event_day)
);

create table if not exists raw.rejects (
    load_id bigint not null references raw.loads (load_id),
    source text not null,
    landed_on date not null,
    file text not null,
    line bigint not null,
    reason text not null,
    original text not null
);

create table if not exists raw.drift (
    load_id bigint not null references raw.loads (load_id),
    column_name text not null,
    kind text not null check (kind in ('unknown', 'missing')),
    primary key (load_id, kind, column_name)
);

-- A view of the live loads: the drift of a superseded load disappears with it. The loader needs no
-- right in the schema quality.
create or replace view quality.schema_drift as
select
    loads.source,
    drift.column_name,
    drift.kind,
    min(loads.landed_on) as first_seen,
    max(loads.landed_on) as last_seen,
    count(*) as loads
from raw.drift as drift
inner join raw.loads as loads on drift.load_id = loads.load_id
where loads.superseded_by is null
group by loads.source, drift.column_name, drift.kind;

-- A view of a model, through a function that looks the model up at each query. A view on the model
-- itself would be dropped when dbt creates the model again.
create or replace function quality.count_rejects()
returns table (source text, rule text, landed_on date, rows bigint)
language plpgsql stable as $$
begin
    if to_regclass('staging.stg_rejects') is not null then
        return query
        select rejects.source, rejects.rule, rejects.landed_on, count(*)
        from staging.stg_rejects as rejects
        group by rejects.source, rejects.rule, rejects.landed_on;
    end if;
end
$$;
create or replace view quality.rejects_by_rule as
select source, rule, landed_on, rows from quality.count_rejects();

comment on table raw.loads is
'One row per load. A load without superseded_by is live: its rows are in the raw table';
comment on column raw.loads.landed_on is
'The day of the files in the landing zone; for an external file, the day of its arrival';
comment on column raw.loads.delivered_on is
'The day of the arrival: later than landed_on for a corrected delivery. The latest delivery counts';
comment on column raw.loads.origin is
'zone: a day of the landing zone; file: an external file, landed by a mapping';
comment on column raw.loads.name is 'Name of the external file; null for the landing zone';
comment on column raw.loads.mapping is 'Name of the mapping that landed an external file';
comment on column raw.loads.mapping_sha256 is
'Digest of the content of that mapping: with a changed mapping, the same file lands again';
comment on column raw.loads.files is 'Name, sha256 and bytes of each file of the load';
comment on column raw.loads.rows_left_out is
'Rows that the mapping''s where and distinct filtered';
comment on column raw.loads.superseded_by is
'The load that replaced this one; its own number if it was withdrawn';
comment on column raw.loads.retired_at is
'When RAW_RETENTION_DAYS expired the rows of a live load; the models keep the rows built from them';
comment on table raw.touched_days is
'The event days (UTC) that a load affects: those of the rows that it brought or took away';
comment on table raw.drift is
'Columns of a load that its contract does not know, and optional ones that were missing';
comment on view quality.schema_drift is
'Columns unknown to the contract or missing from the files, with the first and last landed day';
comment on view quality.rejects_by_rule is
'Rows rejected at landing or in the models, counted by reason; none before the first build';
comment on table raw.rejects is
'Records that could not be rows: broken JSON, wrong number of fields, bad UTF-8, NUL';

grant select, insert on raw.loads, raw.touched_days, raw.rejects, raw.drift to loader;
grant update (
    rows_read, rows_landed, rows_rejected, rows_left_out, ended_at, superseded_by, files,
    content_sha256, delivered_on
) on raw.loads to loader;
grant update (rows_taken_away) on raw.touched_days to loader;
grant select on raw.loads, raw.touched_days, raw.rejects, raw.drift to transformer;
grant select on quality.schema_drift, quality.rejects_by_rule to transformer;

-- A temporary sequence counts lines, and suspicious documents are checked in a temporary table.
do $$
begin
    execute format('grant temporary on database %I to loader', current_database());
end
$$;
