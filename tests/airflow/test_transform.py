"""The one way in which dbt runs here, without Airflow: what it leaves when it is stopped or killed, what it keeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from threading import Event

import psycopg
import pytest

from infrastructure.settings import PROJECT_ROOT, Settings
from infrastructure.transform import APPLICATION_NAME, built_by, fingerprint, record_build

MODEL = "base_orders"


def start(settings: Settings) -> subprocess.Popen[str]:
    """dbt on one model that needs nothing landed."""
    return subprocess.Popen(
        [sys.executable, "-m", "infrastructure.transform", "run", "--full-refresh", "--select", MODEL],
        cwd=PROJECT_ROOT,
        env={**os.environ, **settings.environment(), "PIPELINE_RUN_ID": "the run"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sessions(server: psycopg.Connection) -> list[int]:
    query = "select pid from pg_stat_activity where datname = current_database() and application_name = %s"
    return [pid for (pid,) in server.execute(query, [APPLICATION_NAME])]


def wait_for_a_session_that_waits(server: psycopg.Connection, seconds: float = 120) -> None:
    query = """
        select exists (
            select from pg_stat_activity
            where datname = current_database() and application_name = %s and wait_event_type = 'Lock'
        )
    """
    deadline = time.monotonic() + seconds
    while server.execute(query, [APPLICATION_NAME]).fetchone() != (True,):
        assert time.monotonic() < deadline, "dbt never came to the lock"
        Event().wait(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["term", "int", "kill"])
def test_a_dbt_that_is_ended_leaves_no_session_to_the_next(warehouse: Settings, number: signal.Signals) -> None:
    first = start(warehouse)
    assert first.communicate(timeout=240)[0].count("Completed successfully") == 1
    with (
        psycopg.connect(warehouse.dsn("owner"), autocommit=True) as server,
        psycopg.connect(warehouse.dsn("owner")) as blocker,
    ):
        assert sessions(server) == []
        # Its next build has the model's table in its way, and finds it locked.
        blocker.execute("lock table staging.base_orders, change_feed.base_orders in access exclusive mode")
        second = start(warehouse)
        wait_for_a_session_that_waits(server)
        second.send_signal(number)
        second.communicate(timeout=60)
        assert second.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[number]
        if number != signal.SIGKILL:
            assert sessions(server) == []
        third = start(warehouse)
        if number == signal.SIGKILL:
            # What the killed one left is ended, whether the server has missed its client by then or not.
            assert third.poll() is None
        blocker.rollback()
        said = third.communicate(timeout=240)[0]
        assert third.returncode == 0, said
        assert sessions(server) == []
        kept = server.execute("select node_id, status from quality.dbt_results where run_id = 'the run'").fetchall()
    assert kept == [(f"model.saas_analytics.{MODEL}", "success")]


def test_a_build_is_known_by_what_it_was_made_from(warehouse: Settings) -> None:
    before = fingerprint(warehouse)
    assert built_by(warehouse, before) is None
    record_build(warehouse, before)
    assert built_by(warehouse, before) is not None
    with psycopg.connect(warehouse.dsn("owner")) as server:
        server.execute(
            "insert into raw.loads (source, landed_on, delivered_on, origin, files, content_sha256, started_at) "
            "values ('events', '2026-01-01', '2026-01-01', 'zone', '[]', 'x', now())"
        )
    assert built_by(warehouse, fingerprint(warehouse)) is None
    assert built_by(warehouse, before) is not None
