-- Schemas of a warehouse and what each role may do in them, as warehouse_owner inside that database.
-- Safe to apply again. The tables of schema raw that landing keeps its books in are in raw.sql.

do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to loader, transformer, reporter', current_database());
    -- dbt keeps the new rows of an incremental model in a temporary table.
    execute format('grant temporary on database %I to transformer', current_database());
    execute format('alter database %I set timezone to %L', current_database(), 'UTC');
end
$$;

create schema if not exists raw;          -- what has landed, untouched
create schema if not exists staging;      -- typed, deduplicated, rejects explained
create schema if not exists core;         -- dimensions and facts
create schema if not exists marts;        -- the metrics
create schema if not exists quality;      -- test results, drift, run summaries
create schema if not exists change_feed;  -- what changed in the models, for those who follow them

-- Lets an exclusion constraint compare keys beside ranges: versions of a dimension cannot overlap in time.
create extension if not exists btree_gist;

-- loader: makes the tables of the sources and fills them.
grant usage, create on schema raw to loader;

-- transformer: reads raw, builds everything after it.
grant usage on schema raw to transformer;
grant select on all tables in schema raw to transformer;
alter default privileges for role warehouse_owner in schema raw grant select on tables to transformer;
alter default privileges for role loader in schema raw grant select on tables to transformer;
grant usage, create on schema staging, core, marts, quality, change_feed to transformer;

-- reporter: reads marts.
grant usage on schema marts to reporter;
grant select on all tables in schema marts to reporter;
alter default privileges for role transformer in schema marts grant select on tables to reporter;

-- One row for each run of the pipeline, written by its last task (infrastructure/publish.py).
create table if not exists quality.pipeline_runs (
    pipeline_run_id bigint generated always as identity primary key,
    day date not null,
    finished_at timestamptz not null default now(),
    summary jsonb not null
);
comment on table quality.pipeline_runs is 'What each run of the pipeline landed, built and tested, and the KPIs of its day';
grant select, insert on quality.pipeline_runs to transformer;
