"""A killed build, and two concurrent ones, leave the same warehouse as one undisturbed build."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from saas_analytics.pipeline.dbt_project import dbt_environment, target_path
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.waiting import patience, wait_until
from tests.warehouse.conftest import (
    MODELS_AND_SEEDS,
    Build,
    Parsed,
    differences,
    keep_copies,
    land_days,
)
from tests.warehouse.random_company import FIRST_DAY, delivery, write_delivery

# The models in which builds are killed, and their upstreams. LONG=1: all models.
SOME = () if "LONG" in os.environ else ("--select", "+fact_events", "+sales_summary")
# Where a build is blocked and killed: before a model writes its rows, and between its rows and its
# change log.
AIMS = (
    "change_feed.base_events",
    pytest.param("core.dim_users", marks=pytest.mark.long),
    "change_feed.sales_summary",
)


def _start(settings: Settings, target: Path, parsed: Parsed) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **dbt_environment(settings),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
    }
    target.mkdir()
    shutil.copy2(
        parsed.target(settings, PROJECT_ROOT / "dbt", "") / "partial_parse.msgpack", target
    )
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("dbt")), "--quiet", *MODELS_AND_SEEDS, *SOME],
        cwd=PROJECT_ROOT / "dbt",
        env=environment,
        start_new_session=True,
    )


def _land_some(settings: Settings, seed: int) -> None:
    dice = random.Random(seed)
    days = [FIRST_DAY + timedelta(days=n) for n in range(seed, seed + 3)]
    for day in days:
        write_delivery(settings.landing_zone, day, delivery(dice, day))
    land_days(settings, *days)


@pytest.mark.parametrize("table", AIMS)
def test_the_next_build_completes_a_killed_one(
    warehouse: Settings, build: Build, parsed: Parsed, tmp_path: Path, table: str
) -> None:
    _land_some(warehouse, 1)
    build(warehouse, "run", *SOME)
    _land_some(warehouse, 2)
    with psycopg.connect(warehouse.dsn("owner")) as blocker:
        blocker.execute(
            sql.SQL("lock table {} in share mode").format(sql.Identifier(*table.split(".")))
        )
        process = _start(warehouse, tmp_path / "target", parsed)
        try:
            _wait_until_blocked(blocker, process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    build(warehouse, "run", *SOME)
    tables = keep_copies(warehouse)
    build(warehouse, "run", "--full-refresh", *SOME)
    assert not differences(warehouse, tables)


def test_two_concurrent_builds_give_the_rows_of_one(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    _land_some(warehouse, 1)
    environment = {**os.environ, **warehouse.environment()}
    builds = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "saas_analytics",
                "dbt",
                "--quiet",
                *MODELS_AND_SEEDS,
                *SOME,
            ],
            cwd=PROJECT_ROOT,
            env={**environment, "DBT_LOG_PATH": str(tmp_path)},
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=patience(300))[1].decode() for process in builds]
    shutil.rmtree(target_path(warehouse))
    assert [process.returncode for process in builds] == [0, 0], said
    assert sum("waiting for its end" in text for text in said) == 1
    tables = keep_copies(warehouse)
    build(warehouse, "run", "--full-refresh", *SOME)
    assert not differences(warehouse, tables)


def _wait_until_blocked(connection: psycopg.Connection, process: subprocess.Popen[bytes]) -> None:
    """Wait until a session of dbt waits for a lock that `connection` holds."""
    query = (
        "select exists (select from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock')"
    )

    def is_blocked_or_ended() -> bool:
        # The snapshot of the sessions does not change until it is cleared.
        connection.execute("select pg_stat_clear_snapshot()")
        return connection.execute(query).fetchone() == (True,) or process.poll() is not None

    wait_until(is_blocked_or_ended, 240, "dbt did not reach the table")
    assert process.poll() is None, (
        f"dbt ended before it reached the table, with exit code {process.returncode}"
    )
