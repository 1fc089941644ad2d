"""The one way in which dbt runs here, without Airflow: stops, kills, records."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from saas_analytics.cli import main
from saas_analytics.landing.execution import prepare
from saas_analytics.pipeline.build_log import built_by, fingerprint, record_build
from saas_analytics.pipeline.transform import APPLICATION_NAME
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.waiting import patience, wait_until

MODEL = "base_returns"  # reads no seed


RUN = ("run", "--full-refresh", "--select", MODEL)


def start(settings: Settings, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start dbt on one model that needs no landed data, or with other arguments."""
    return subprocess.Popen(
        [sys.executable, "-m", "saas_analytics", "dbt", *(arguments or RUN)],
        cwd=PROJECT_ROOT,
        env={**os.environ, **settings.environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sessions(server: psycopg.Connection) -> list[int]:
    query = (
        "select pid from pg_stat_activity"
        " where datname = current_database() and application_name = %s"
    )
    return [pid for (pid,) in server.execute(query, [APPLICATION_NAME])]


def wait_until_blocked(dbt: subprocess.Popen[str], server: psycopg.Connection) -> None:
    """Wait until a session of dbt waits for a lock. AssertionError if dbt ends before."""
    query = """
        select exists (
            select from pg_stat_activity
            where datname = current_database() and application_name = %s
            and wait_event_type = 'Lock'
        )
    """

    def is_blocked() -> bool:
        assert dbt.poll() is None, dbt.communicate()[0]
        return server.execute(query, [APPLICATION_NAME]).fetchone() == (True,)

    wait_until(is_blocked, 240, "dbt never came to the lock")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="term"),
        pytest.param(signal.SIGINT, id="int", marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, id="kill"),
    ],
)
def test_a_stopped_dbt_leaves_no_session(warehouse: Settings, number: signal.Signals) -> None:
    first = start(warehouse, PIPELINE_RUN_ID="the run")
    assert first.communicate(timeout=patience(240))[0].count("Completed successfully") == 1
    with (
        psycopg.connect(warehouse.dsn("owner"), autocommit=True) as server,
        psycopg.connect(warehouse.dsn("owner")) as blocker,
    ):
        assert sessions(server) == []
        # The second dbt has to replace the model's table, and waits for this lock.
        blocker.execute(
            "lock table staging.base_returns, change_feed.base_returns in access exclusive mode"
        )
        second = start(warehouse, PIPELINE_RUN_ID="the run")
        wait_until_blocked(second, server)
        second.send_signal(number)
        second.communicate(timeout=patience(60))
        codes = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
        assert second.returncode == codes[number]
        if number != signal.SIGKILL:
            assert sessions(server) == []
        third = start(warehouse, PIPELINE_RUN_ID="the run")
        if number == signal.SIGKILL:
            # It ends the session of the killed one, even if the server has not noticed the kill.
            assert third.poll() is None
        blocker.rollback()
        output = third.communicate(timeout=patience(240))[0]
        assert third.returncode == 0, output
        assert sessions(server) == []
        kept = server.execute(
            "select node_id, status from quality.dbt_results where run_id = 'the run'"
        ).fetchall()
    assert kept == [(f"model.saas_analytics.{MODEL}", "success")]


def test_a_dbt_that_loses_the_lock_stops(warehouse: Settings) -> None:
    """As after a server restart: dbt would continue in new sessions, next to a second dbt."""
    prepare(warehouse)
    with (
        psycopg.connect(warehouse.dsn("owner")) as blocker,
        psycopg.connect(warehouse.admin_dsn(warehouse.database), autocommit=True) as server,
    ):
        blocker.execute("lock table raw.returns in access exclusive mode")
        dbt = start(warehouse)
        wait_until_blocked(dbt, server)
        lock = "application_name = 'transform lock' and datname = current_database()"
        ended = server.execute(
            f"select pg_terminate_backend(pid) from pg_stat_activity where {lock}"
        ).fetchall()
        assert ended == [(True,)]
        blocker.rollback()
        output = dbt.communicate(timeout=patience(240))[0]
    assert dbt.returncode == 1, output
    assert f"The session that held the lock of warehouse {warehouse.database} has ended" in output


def test_results_of_the_command_line_are_stored_and_printed_without_personal_data(
    warehouse: Settings,
) -> None:
    """One test fails, and one ends with an error in which PostgreSQL quotes a value."""
    with psycopg.connect(warehouse.dsn("transformer")) as server:
        server.execute(
            "create view marts.rejected_rows as"
            " select date '2026-01-05' as landed_on, source, 'r' as rule,"
            " name::bigint as rejected_rows"
            " from (values ('users', 'Ann Lee'), ('users', 'Ann Lee')) as v (source, name)"
        )
        server.execute(
            "create view marts.unknown_members as select date '2026-01-05' as fact_date,"
            " 'fact_orders' as fact, 'user' as dimension, 1 as facts, full_name"
            " from (values ('Ann Lee'), ('Ann Lee')) as v (full_name)"
        )
    tests = ("rejected_rows,test_type:data", "unknown_members,test_type:data")
    dbt = start(warehouse, "test", "--select", *tests)
    output = dbt.communicate(timeout=patience(240))[0]
    assert dbt.returncode == 1, output
    assert "invalid input syntax for type bigint: ***" in output
    assert "Ann Lee" not in output
    with psycopg.connect(warehouse.dsn("transformer")) as server:
        kept = server.execute(
            "select results.status, results.message, failing.rows"
            " from quality.dbt_results as results"
            " left join quality.failing_rows as failing using (run_id, node_id)"
            " where results.status <> 'pass'"
        ).fetchall()
    assert {status for status, _, _ in kept} == {"fail", "error"}
    assert "Ann Lee" not in str(kept)
    (found,) = [rows for status, _, rows in kept if status == "fail"]
    assert found[0]["_rule"] == "fact_date, fact, dimension comes once"
    assert found[0]["dimension"] == "user"


def test_a_source_that_cannot_be_measured_is_not_fresh(
    warehouse: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(warehouse)
    with psycopg.connect(warehouse.dsn("owner")) as server:
        # The run's hook may read these columns.
        server.execute("revoke select on raw.loads from transformer")
        server.execute("grant select (load_id, source, superseded_by) on raw.loads to transformer")
    for key, value in warehouse.environment().items():
        monkeypatch.setenv(key, value)
    assert main(["freshness"]) == 1
    output = capsys.readouterr().err
    of_warehouse = f"the sources of warehouse {warehouse.database}"
    assert f"dbt could not measure how fresh {of_warehouse} are:" in output
    assert "\nsource.saas_analytics.raw.orders: " in output
    assert "permission denied for table loads" in output


@pytest.mark.parametrize("file", ["packages/exact/macros/exact.sql", "packages.yml"])
def test_a_changed_file_of_the_project_or_its_package_makes_another_build(
    warehouse: Settings, tmp_path: Path, file: str
) -> None:
    written = shutil.ignore_patterns("target", "logs")
    shutil.copytree(warehouse.root / "dbt", tmp_path / "dbt", ignore=written, symlinks=True)
    settings = replace(warehouse, root=tmp_path)
    before = fingerprint(settings)
    assert fingerprint(settings) == before
    with (tmp_path / "dbt" / file).open("a") as changed:
        changed.write("\n")
    assert fingerprint(settings) != before


def test_a_build_is_identified_by_its_inputs(
    warehouse: Settings, new_warehouse: Callable[[], Settings]
) -> None:
    before = fingerprint(warehouse)
    assert fingerprint(replace(warehouse, database=new_warehouse().database)) != before
    assert built_by(warehouse, before) is None
    record_build(warehouse, before)
    assert built_by(warehouse, before) is not None
    with psycopg.connect(warehouse.dsn("owner")) as server:
        server.execute(
            "insert into raw.loads"
            " (source, landed_on, delivered_on, origin, files, content_sha256, started_at)"
            " values ('events', '2026-01-01', '2026-01-01', 'zone', '[]', 'x', now())"
        )
    assert built_by(warehouse, fingerprint(warehouse)) is None
    assert built_by(warehouse, before) is not None
