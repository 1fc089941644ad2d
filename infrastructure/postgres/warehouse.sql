-- Creates the schemas of a warehouse and the rights of each role in them, as warehouse_owner inside
-- that database. Safe to apply again. raw.sql creates the load log.

do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format(
        'grant connect on database %I to loader, transformer, reporter', current_database()
    );
    -- The materializations exact and landed compute in temporary tables.
    execute format('grant temporary on database %I to transformer', current_database());
    execute format('alter database %I set timezone to %L', current_database(), 'UTC');
end
$$;

create schema if not exists raw;          -- what has landed, unchanged
create schema if not exists staging;      -- typed, deduplicated, rejects explained
create schema if not exists core;         -- dimensions and facts
create schema if not exists marts;        -- the metrics
create schema if not exists quality;      -- test results, drift, run summaries
create schema if not exists change_feed;  -- what changed in the models, for those that follow them

-- Lets an exclusion constraint compare keys as well as ranges, so that the versions of a dimension
-- cannot overlap in time.
create extension if not exists btree_gist;

-- loader: creates the tables of the sources and fills them.
grant usage, create on schema raw to loader;

-- transformer: reads raw, builds everything after it.
grant usage on schema raw to transformer;
grant select on all tables in schema raw to transformer;
alter default privileges for role warehouse_owner in schema raw
grant select on tables to transformer;
alter default privileges for role loader in schema raw grant select on tables to transformer;
grant usage, create on schema staging, core, marts, quality, change_feed to transformer;

-- reporter: reads marts.
grant usage on schema marts to reporter;
grant select on all tables in schema marts to reporter;
alter default privileges for role transformer in schema marts grant select on tables to reporter;

-- One row for each run of the pipeline, which its last task writes
-- (saas_analytics/pipeline/publish.py).
create table if not exists quality.pipeline_runs (
    pipeline_run_id bigint generated always as identity primary key,
    day date not null,
    finished_at timestamptz not null default now(),
    summary jsonb not null
);
alter table quality.pipeline_runs add column if not exists run_id text;
create unique index if not exists pipeline_runs_one_per_run on quality.pipeline_runs (run_id, day);
comment on table quality.pipeline_runs is
'What each run of the pipeline landed, built and tested, and the KPIs of its day';
comment on column quality.pipeline_runs.run_id is
'The run in Airflow (<DAG>/<run>) or of the command line; a repeated task overwrites its row';
grant select, insert, update on quality.pipeline_runs to transformer;

-- The result of each dbt node in each run. saas_analytics/pipeline/node_results.py writes it while
-- dbt runs.
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
comment on table quality.dbt_results is
'Models and tests of every dbt run: one row for a run and a node, with the result of its last try';
comment on column quality.dbt_results.run_id is
'The run in Airflow, <DAG>/<run>; command__<time>__<process> for dbt from the command line';
comment on column quality.dbt_results.node_id is 'dbt''s unique_id';
comment on column quality.dbt_results.status is
'Of a model: success, error or skipped; of a test: pass, fail, warn, error or skipped';
comment on column quality.dbt_results.rows_affected is
'Rows that the last statement of the model wrote';
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
comment on table quality.source_freshness is
'Hours since each source in use last landed, at each run, and whether that is too long';
grant select, insert, update, delete on quality.source_freshness to transformer;

-- The input of the last complete build without a failure
-- (saas_analytics/pipeline/build_log.py). One row.
create table if not exists quality.built (
    only_row boolean primary key default true check (only_row),
    fingerprint text not null,
    run_id text not null,
    built_at timestamptz not null default now()
);
comment on table quality.built is
'The last complete build: the digest of what had landed and of the project, and its run';
grant select, insert, update on quality.built to transformer;

create table if not exists quality.failed_build (
    only_row boolean primary key default true check (only_row),
    fingerprint text not null,
    run_id text not null,
    lasts boolean not null,
    failed_at timestamptz not null default now()
);
comment on table quality.failed_build is
'The last build that failed: the digest of its input, and its run';
comment on column quality.failed_build.lasts is
'True after a failed test: with the same data, it would fail again';
grant select, insert, update on quality.failed_build to transformer;

-- Causes of alerts that are not resolved yet (saas_analytics/quality/alerts.py). The columns
-- told_at and well_again keep the names that existing warehouses have.
create table if not exists quality.alerts (
    cause text primary key,
    text text not null,
    raised_at timestamptz not null default now()
);
alter table quality.alerts add column if not exists told_at timestamptz;
alter table quality.alerts add column if not exists well_again text [];
comment on table quality.alerts is
'Open alerts, one for each cause: sent when it is raised, and when it is resolved';
comment on column quality.alerts.told_at is
'When the alert was sent. NULL if it could not be: it is sent the next time that the cause occurs';
comment on column quality.alerts.well_again is
'Title and text of the message that it is resolved. The row is deleted once that has been sent';
grant select, insert, update, delete on quality.alerts to transformer;

-- The last change of each mart that Airflow was notified of
-- (saas_analytics/pipeline/changed_marts.py).
create table if not exists quality.told_marts (
    mart text primary key,
    seq bigint not null,
    told_at timestamptz not null default now()
);
comment on table quality.told_marts is
'The last change of each mart for which an asset event was made in Airflow';
comment on column quality.told_marts.seq is 'As in change_feed.models, last_seq';
grant select, insert, update on quality.told_marts to transformer;

-- The metrics of each landed day, and those of them that are anomalous
-- (saas_analytics/quality/daily_metrics.py, anomalies.py).
create table if not exists quality.daily_metrics (
    day date not null,
    metric text not null,
    value double precision not null,
    measured_at timestamptz not null default clock_timestamp(),
    primary key (day, metric)
);
comment on table quality.daily_metrics is
'Rows, shares of empty values and sizes of what landed for each day, and its KPIs';
comment on column quality.daily_metrics.metric is
'rows.<source>, empty.<source>.<column>, size.<source>.<column>, kpi.<name>';
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
comment on table quality.anomalies is
'Anomalous metrics of a day: checked again whenever the day is measured again';
comment on column quality.anomalies.expected is
'From trend, weekday and level of the 42 days before; a value from lower to upper is normal';
comment on column quality.anomalies.score is
'Distance from the expected value, in spreads (from the median absolute deviation)';
grant select, insert, delete on quality.anomalies to transformer;

-- The first rows that each failed test found, without personal data
-- (saas_analytics/pipeline/failing_rows.py).
create table if not exists quality.failing_rows (
    run_id text not null,
    node_id text not null,
    rows jsonb not null,
    kept_at timestamptz not null default now(),
    primary key (run_id, node_id)
);
comment on table quality.failing_rows is
'The first rows that each failed test of a run found; personal data are masked';
grant select, insert, delete on quality.failing_rows to transformer;
