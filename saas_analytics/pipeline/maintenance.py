"""Regular maintenance of the warehouse and Airflow: statistics, dead rows, old data and logs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import sql

from saas_analytics.landing.expiry import expire_partitions
from saas_analytics.layout import Layout, bin_directory
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect


def maintain(settings: Settings, airflow: Mapping[str, str]) -> None:
    """Do all maintenance, and print a report. `airflow` is the environment of its commands."""
    tables = vacuum(settings)
    print(f"Vacuumed and analyzed {len(tables)} tables: {', '.join(tables) or 'none needed it'}")
    print(f"Dropped {len(expire_raw(settings))} partitions of raw")
    results, logs = forget_results(settings), forget_logs(settings)
    print(f"Deleted {results} results of dbt's runs and {logs} logs")
    forget_runs(settings, airflow)
    days = settings.airflow_retention_days or "all"
    print(f"Airflow's database holds the runs of {days} days")


def vacuum(settings: Settings) -> list[str]:
    """Vacuum and analyze the tables that need it, and return their names.

    A locked table is skipped until the next time.
    """
    with connect(settings, "owner", autocommit=True, application_name="maintenance") as warehouse:
        warehouse.execute("set lock_timeout to '5s'")
        needy = warehouse.execute(_NEEDY_TABLES).fetchall()
        for schema, table in needy:
            # skip_locked: a table in use waits for the next time.
            warehouse.execute(
                sql.SQL("vacuum (analyze, skip_locked) {}").format(sql.Identifier(schema, table)),
                prepare=False,
            )
    return [f"{schema}.{table}" for schema, table in needy]


def expire_raw(settings: Settings) -> list[str]:
    """Drop partitions of raw that landed more than RAW_RETENTION_DAYS ago, and return their names.

    Only partitions that the models have consumed are dropped.
    """
    if not settings.raw_retention_days:
        return []
    oldest = datetime.now(UTC).date() - timedelta(days=settings.raw_retention_days)
    with connect(settings, "owner", autocommit=True, application_name="maintenance") as warehouse:
        return expire_partitions(warehouse, oldest)


def forget_results(settings: Settings) -> int:
    """Delete results of dbt runs older than QUALITY_RETENTION_DAYS, and return their number."""
    if not settings.quality_retention_days:
        return 0
    with connect(settings, "transformer", application_name="maintenance") as warehouse:
        return sum(
            warehouse.execute(
                sql.SQL("delete from {} where {} < now() - make_interval(days => %s)").format(
                    sql.Identifier("quality", table), sql.Identifier(column)
                ),
                [settings.quality_retention_days],
            ).rowcount
            for table, column in (
                ("dbt_results", "finished_at"),
                ("source_freshness", "checked_at"),
                ("failing_rows", "kept_at"),
                ("daily_metrics", "measured_at"),
                ("anomalies", "detected_at"),
            )
        )


def forget_logs(settings: Settings) -> int:
    """Delete logs of tasks and of lineage older than LOG_RETENTION_DAYS, and return their number.

    The age of a file is the time since the last write.
    """
    layout = Layout(settings.root)
    root, lineage = layout.logs / "airflow", layout.lineage
    if (events := lineage / "events.jsonl").exists():
        # The next event creates a new file.
        events.rename(lineage / f"events.{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl")
    if not settings.log_retention_days:
        return 0
    oldest = (datetime.now(UTC) - timedelta(days=settings.log_retention_days)).timestamp()
    files = [*root.rglob("*"), *lineage.glob("*")]
    old = [path for path in files if path.is_file() and path.stat().st_mtime < oldest]
    for path in old:
        path.unlink()
    for directory in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        _remove_if_empty(directory)
    return len(old)


def forget_runs(settings: Settings, airflow: Mapping[str, str]) -> None:
    """Delete runs from Airflow's own database that are older than AIRFLOW_RETENTION_DAYS.

    `airflow` is the environment of Airflow's command line.
    """
    if not settings.airflow_retention_days:
        return
    oldest = datetime.now(UTC) - timedelta(days=settings.airflow_retention_days)
    command = [str(bin_directory() / "airflow"), "db", "clean", "--yes", "--skip-archive"]
    # The environment of a task has no access to that database.
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AIRFLOW", "_AIRFLOW"))
    }
    done = subprocess.run(
        [*command, "--clean-before-timestamp", oldest.isoformat()],
        env={**environment, **airflow},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise WarehouseError(
            f"`airflow db clean` ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return  # it is not empty


# Tables in which a tenth of the rows is dead or has changed. Autovacuum does the same, but not
# while a nightly build writes.
_NEEDY_TABLES = """
select schemaname, relname
from pg_stat_user_tables
where schemaname in ('raw', 'staging', 'core', 'marts', 'quality', 'change_feed')
    and greatest(n_dead_tup, n_mod_since_analyze, n_ins_since_vacuum) > 1000 + n_live_tup / 10
order by schemaname, relname
"""
