"""The tuning of dbt skips the work that it should, and changes nothing else."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from saas_analytics.pipeline import dbt_process
from saas_analytics.pipeline.dbt_process import NodeEnd, Outcome
from saas_analytics.pipeline.dbt_project import dbt_environment
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.waiting import wait_until

PROJECT = """
name: sessions
profile: warehouse
models:
  +materialized: table
  # Fails if the transaction of an earlier node is open. Without a transaction the table would be
  # dropped at once.
  +pre_hook: create temporary table of_the_node on commit drop as select pg_backend_pid() as pid
"""
COUNTED = [f"c_{number:02}" for number in range(20)]
MODELS = {
    "a_error": "select 1 / 0 as nothing",
    "b_lost": "select pg_terminate_backend(pg_backend_pid()) as ended",
    **dict.fromkeys(COUNTED, "select pid from of_the_node"),
}


@pytest.fixture
def project(warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project, with the environment to run it. Its models record the session that built them.

    One thread builds the models one after the other.
    """
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text((PROJECT_ROOT / "dbt" / "profiles.yml").read_text())
    for name, query in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(query)
    paths = {"DBT_PROJECT_DIR": folder, "DBT_PROFILES_DIR": folder, "DBT_LOG_PATH": folder / "logs"}
    paths["DBT_TARGET_PATH"] = folder / "target"
    for key, value in {**dbt_environment(warehouse), **paths, "DBT_THREADS": 1}.items():
        monkeypatch.setenv(key, str(value))
    monkeypatch.chdir(folder)
    return folder


def test_a_thread_keeps_its_session_until_the_end_of_the_run(
    warehouse: Settings, project: Path
) -> None:
    outcome = dbt_process.run(["--quiet", "run"])
    assert failed(outcome) == {"a_error", "b_lost"}
    with psycopg.connect(warehouse.dsn("owner"), autocommit=True) as owner:
        assert len(set(sessions(owner))) == 1
        running = "select count(*) from pg_stat_activity where usename = 'transformer'"
        wait_until(
            lambda: owner.execute(running).fetchone() == (0,), what="sessions of dbt are left"
        )


def test_a_session_that_is_lost_between_two_nodes_is_opened_again(
    warehouse: Settings, project: Path
) -> None:
    with psycopg.connect(warehouse.admin_dsn(warehouse.database), autocommit=True) as server:

        def end_sessions(ended: NodeEnd) -> None:
            if ended.node.endswith("c_09"):
                server.execute(
                    "select pg_terminate_backend(pid, 30000) from pg_stat_activity"
                    " where usename = 'transformer'"
                )

        outcome = dbt_process.run(["--quiet", "run", "--exclude", "b_lost"], [end_sessions])
        assert failed(outcome) == {"a_error"}
        pids = sessions(server)
        assert (len(set(pids[:10])), len(set(pids[10:])), len(set(pids))) == (1, 1, 2)


def failed(outcome: Outcome) -> set[str]:
    assert len(outcome.nodes) >= len(COUNTED)
    return {node.node.rpartition(".")[2] for node in outcome.nodes if node.status != "success"}


def sessions(connection: psycopg.Connection) -> list[int]:
    """The session that built each model, in the order in which they were built."""
    query = " union all ".join(f"(select pid from staging.{name})" for name in COUNTED)
    return [pid for (pid,) in connection.execute(query.encode())]


def test_arguments_of_tests_are_rendered_in_the_context_as_it_is() -> None:
    dbt_process.load()
    from dbt.clients.jinja import get_rendered

    class Names(ChainMap[str, Any]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("the context was copied")

    assert get_rendered("{{ day }}", Names({"day": 3}), native=True) == 3


def test_only_events_that_a_log_writes_are_formatted(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dbt_process.load()
    from dbt_common.events.logger import _TextLogger

    formatted: list[str] = []
    create_line = _TextLogger.create_line

    def counted(self: _TextLogger, message: Any) -> str:
        formatted.append(message.info.level)
        return create_line(self, message)

    monkeypatch.setattr(_TextLogger, "create_line", counted)
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "error")
    (project / "macros").mkdir()
    shout = "{% macro shout() %}{{ print('heard') }}{% endmacro %}"
    (project / "macros/shout.sql").write_text(shout)
    outcome = dbt_process.run(["--no-use-colors", "run", "--select", "a_error", "c_01"])
    assert [node.status for node in outcome.nodes] == ["error", "success"]
    written = capsys.readouterr().out
    assert "division by zero" in written and "OK created sql table model" in written
    assert {"info", "error"} <= set(formatted) and "debug" not in formatted
    dbt_process.run(["--quiet", "run-operation", "shout"])
    assert capsys.readouterr().out.strip() == "heard"
