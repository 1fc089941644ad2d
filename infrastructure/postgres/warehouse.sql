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

-- One row for each run of the pipeline, written by its last task (saas_analytics/pipeline/publish.py).
create table if not exists quality.pipeline_runs (
    pipeline_run_id bigint generated always as identity primary key,
    day date not null,
    finished_at timestamptz not null default now(),
    summary jsonb not null
);
alter table quality.pipeline_runs add column if not exists run_id text;
create unique index if not exists pipeline_runs_one_per_run on quality.pipeline_runs (run_id, day);
comment on table quality.pipeline_runs is 'What each run of the pipeline landed, built and tested, and the KPIs of its day';
comment on column quality.pipeline_runs.run_id is 'The run in Airflow (<DAG>/<run>), or of the command line; a repeated task writes over its row';
grant select, insert, update on quality.pipeline_runs to transformer;

-- What became of each dbt node in each run, written while dbt runs (saas_analytics/pipeline/node_results.py).
create table if not exists quality.dbt_results (
    run_id text not null,
    node_id text not null,
    status text not null,
    seconds numeric(12, 3) not null,
    rows_affected bigint,
    failures bigint,
    message text,
    finished_at timestamptz not null default clock_timestamp(),
    primary key (run_id, node_id)
);
create index if not exists dbt_results_by_time on quality.dbt_results (finished_at);
comment on table quality.dbt_results is 'Models and tests of every dbt run: one row for a run and a node, of its last try';
comment on column quality.dbt_results.run_id is 'The run in Airflow, <DAG>/<run>; command__<time>__<process> for a dbt from the command line';
comment on column quality.dbt_results.node_id is 'dbt''s unique_id';
comment on column quality.dbt_results.status is 'success, error or skipped of a model; pass, fail, warn, error or skipped of a test';
comment on column quality.dbt_results.rows_affected is 'Rows that the last statement of the model wrote';
comment on column quality.dbt_results.failures is 'Rows that a test found';
grant select, insert, update, delete on quality.dbt_results to transformer;

-- How old each source was in each run (saas_analytics/quality/freshness.py).
create table if not exists quality.source_freshness (
    run_id text not null,
    source text not null,
    age_hours numeric(12, 2) not null,
    limit_hours numeric(12, 2),
    is_stale boolean not null,
    checked_at timestamptz not null default now(),
    primary key (run_id, source)
);
comment on table quality.source_freshness is 'Hours since each source in use last landed, at each run, and whether that is too long';
grant select, insert, update, delete on quality.source_freshness to transformer;

-- What the models were last built from, whole and without a failure (saas_analytics/pipeline/build_log.py). One row.
create table if not exists quality.built (
    only_row boolean primary key default true check (only_row),
    fingerprint text not null,
    run_id text not null,
    built_at timestamptz not null default now()
);
comment on table quality.built is 'The last complete build: the digest of what had landed and of the project, and its run';
grant select, insert, update on quality.built to transformer;

create table if not exists quality.failed_build (
    only_row boolean primary key default true check (only_row),
    fingerprint text not null,
    run_id text not null,
    lasts boolean not null,
    failed_at timestamptz not null default now()
);
comment on table quality.failed_build is 'The last build that failed: the digest of what it was made from, and its run';
comment on column quality.failed_build.lasts is 'True of a failed test: the same data fail it again';
grant select, insert, update on quality.failed_build to transformer;

-- Causes whose alert was sent and which are not resolved (saas_analytics/quality/alerts.py).
create table if not exists quality.alerts (
    cause text primary key,
    text text not null,
    raised_at timestamptz not null default now()
);
alter table quality.alerts add column if not exists told_at timestamptz;
alter table quality.alerts add column if not exists well_again text [];
comment on table quality.alerts is 'Open alerts, one for a cause: sent when it is raised, and when it is resolved';
comment on column quality.alerts.told_at is 'NULL where nobody could be told: the next time that the cause comes up, it is';
comment on column quality.alerts.well_again is 'Title and text that tell that it is well: to be told, and then the row goes';
grant select, insert, update, delete on quality.alerts to transformer;

-- Up to which change of each mart those who wait for it have been told (saas_analytics/pipeline/changed_marts.py).
create table if not exists quality.told_marts (
    mart text primary key,
    seq bigint not null,
    told_at timestamptz not null default now()
);
comment on table quality.told_marts is 'The last change of each mart for which an asset event was made in Airflow';
comment on column quality.told_marts.seq is 'As in change_feed.models, last_seq';
grant select, insert, update on quality.told_marts to transformer;

-- What was measured of each landed day, and what of it was unlike its history (saas_analytics/quality/daily_metrics.py, anomalies.py).
create table if not exists quality.daily_metrics (
    day date not null,
    metric text not null,
    value double precision not null,
    measured_at timestamptz not null default clock_timestamp(),
    primary key (day, metric)
);
comment on table quality.daily_metrics is 'Rows, shares of empty values and sizes of what landed for each day, and its KPIs';
comment on column quality.daily_metrics.metric is 'rows.<source>, empty.<source>.<column>, size.<source>.<column>, kpi.<name>';
grant select, insert, update, delete on quality.daily_metrics to transformer;

create table if not exists quality.anomalies (
    day date not null,
    metric text not null,
    value double precision not null,
    expected double precision not null,
    lower double precision not null,
    upper double precision not null,
    score double precision not null,
    reason text not null,
    detected_at timestamptz not null default now(),
    primary key (day, metric)
);
comment on table quality.anomalies is 'Anomalous metrics of a day: judged again whenever the day is measured again';
comment on column quality.anomalies.expected is 'By trend, weekday and level of the 42 days before; lower to upper is no anomaly';
comment on column quality.anomalies.score is 'Distance from what was expected, in spreads (from the median absolute deviation)';
grant select, insert, delete on quality.anomalies to transformer;

-- What failed tests found, the first rows of each, without personal data (saas_analytics/pipeline/failing_rows.py).
create table if not exists quality.failing_rows (
    run_id text not null,
    node_id text not null,
    rows jsonb not null,
    kept_at timestamptz not null default now(),
    primary key (run_id, node_id)
);
comment on table quality.failing_rows is 'The first rows that each failed test of a run found; what is personal is masked';
grant select, insert, delete on quality.failing_rows to transformer;
