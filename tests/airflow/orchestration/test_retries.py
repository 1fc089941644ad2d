"""Runs in which something fails, in a real Airflow: retried, stopped, cleared, killed."""

from __future__ import annotations

import os
import re
import signal

import psutil
import psycopg
import pytest

from saas_analytics.layout import PIPELINE, Layout
from saas_analytics.pipeline.transform import APPLICATION_NAME
from saas_analytics.stack import supervision
from saas_analytics.stack.airflow_api import AirflowApi
from saas_analytics.warehouse import connect
from tests.airflow.conftest import Pipeline, Probe
from tests.waiting import wait_until

FAILS_TWICE = "if tries <= 2 then raise 'not yet'; end if; return 1;"
HANGS = "perform pg_sleep(600); return 1;"
FAILS_ITS_TEST = "return 2;"


def test_a_run_whose_model_fails_twice_succeeds_and_builds_the_others_once(
    pipeline: Pipeline, probe: Probe
) -> None:
    probe(FAILS_TWICE)
    run_id = pipeline.start()
    assert pipeline.finish(run_id)
    assert pipeline.task(run_id, "dbt_build").try_number == 3
    first, second, third = (pipeline.started_nodes(run_id, number) for number in (1, 2, 3))
    assert {"probe", "mrr", "active_users"} <= first
    assert "after_probe" not in first
    assert second == {"probe"}
    assert third == {"probe", "after_probe"}
    # No mirror shows a failure that a retry fixed.
    assert set(pipeline.mirrors(run_id).values()) == {"success"}
    with connect(pipeline.stack.settings, "owner") as warehouse:
        kept = warehouse.execute(
            "select status, count(*) from quality.dbt_results where run_id = %s group by status",
            [f"{PIPELINE}/{run_id}"],
        ).fetchall()
        query = "select count(*) from quality.pipeline_runs where run_id = %s"
        published = warehouse.execute(query, [f"{PIPELINE}/{run_id}"])
        assert published.fetchone() == (1,)
    assert {status for status, _ in kept} == {"success", "pass"}


def test_a_failed_test_fails_the_run_at_once_and_clearing_its_mirror_fixes_it(
    pipeline: Pipeline, probe: Probe, api: AirflowApi
) -> None:
    probe(FAILS_ITS_TEST)
    before = len(pipeline.stack.alerts)
    run_id = pipeline.start()
    assert not pipeline.finish(run_id)
    build = pipeline.task(run_id, "dbt_build")
    assert (build.state, build.try_number) == ("failed", 1)
    assert pipeline.task(run_id, "publish").state == "upstream_failed"
    mirrors = pipeline.mirrors(run_id)
    assert (mirrors.pop("probe"), mirrors.pop("after_probe")) == ("failed", "skipped")
    assert set(mirrors.values()) == {"success"}
    with connect(pipeline.stack.settings, "reporter") as warehouse:
        query = "select count(*) > 0 from marts.active_users"
        assert warehouse.execute(query).fetchone() == (True,)

    # One cause, one alert: publish did not run for the same reason.
    (alert,) = pipeline.stack.alerts[before:]
    assert alert.startswith("*Failed: saas_analytics_pipeline.dbt_build*")
    day, link = run_id.split("__")[1], f"/dbt-nodes/{PIPELINE}/"
    for part in (f"Day {day}, run {run_id}", "test probe_is_one: fail", "\n  n: 2\n", link):
        assert part in alert

    fix(pipeline)
    clear(api, run_id, ["marts.probe", "marts.after_probe"])
    # Wait for the end of the run, which stays red. If a run is about to end, Airflow's clear still
    # reads it as running, and does not start it again.
    assert not pipeline.finish(run_id)
    mirrors = pipeline.mirrors(run_id)
    assert (mirrors["probe"], mirrors["after_probe"]) == ("success", "success")
    with connect(pipeline.stack.settings, "owner") as warehouse:
        assert warehouse.execute("select n from marts.after_probe").fetchone() == (1,)
        built = (
            "select node_id from quality.dbt_results"
            " where run_id = %s and node_id like '%%probe' order by finished_at"
        )
        rows = warehouse.execute(built, [f"{PIPELINE}/{run_id}"])
        nodes = [node.rpartition(".")[2] for (node,) in rows]
    assert nodes[-1] == "after_probe"  # cleared together, they run in the order of the models
    # Cleared with its downstream tasks, the build resumes, and its mirrors follow it again.
    clear(api, run_id, ["dbt_build"], downstream=True)
    assert pipeline.finish(run_id)
    assert pipeline.started_nodes(run_id, 2) == {"probe", "after_probe"}
    assert set(pipeline.mirrors(run_id).values()) == {"success"}
    wait_until(lambda: len(pipeline.stack.alerts) == before + 2, 30)
    assert pipeline.stack.alerts[-1].startswith("*Resolved: saas_analytics_pipeline.dbt_build*")


def test_a_late_run_and_its_end_are_reported_although_its_process_was_killed(
    pipeline: Pipeline, probe: Probe
) -> None:
    """Its deadline is moved from hours ahead to now. The running try becomes the last one."""
    pipeline.ended_run()  # without models, the quality report would fail too
    probe(HANGS)
    before = len(pipeline.stack.alerts)
    run_id = pipeline.start()
    with psycopg.connect(pipeline.stack.settings.admin_dsn("analytics"), autocommit=True) as server:
        wait_until(lambda: hanging(server) is not None, 300)
    with psycopg.connect(pipeline.stack.settings.admin_dsn("airflow")) as metadata:
        of_run = "dagrun_id = (select id from dag_run where run_id = %s)"
        now = f"update deadline set deadline_time = now() where {of_run}"
        moved = metadata.execute(now, [run_id]).rowcount
        last = "update task_instance set max_tries = 0 where run_id = %s and task_id = 'dbt_build'"
        assert (moved, metadata.execute(last, [run_id]).rowcount) == (1, 1)
    wait_until(lambda: len(pipeline.stack.alerts) > before, 120)
    assert pipeline.stack.alerts[before].startswith("*Failed: saas_analytics_pipeline is late*")
    assert run_id in pipeline.stack.alerts[before]
    fix(pipeline)
    scheduler = scheduler_of(pipeline)
    # The process of the deadline has to end first.
    wait_until(lambda: len(processes_of_tasks(scheduler)) == 1, 60)
    processes_of_tasks(scheduler)[0].kill()
    assert not pipeline.finish(run_id)
    wait_until(lambda: len(pipeline.stack.alerts) == before + 3, 120)
    ended, failed = sorted(pipeline.stack.alerts[before + 1 :], reverse=True)
    assert ended.startswith("*Resolved: saas_analytics_pipeline is late*")
    assert failed.startswith("*Failed: saas_analytics_pipeline.dbt_build*")
    # Airflow calls the task's callback in the dag-processor, or only the DAG's, which has no try.
    expected = f"run {re.escape(run_id)}, task dbt_build(, try 1)?: its process ended"
    assert re.search(expected, failed), failed


@pytest.mark.long
@pytest.mark.parametrize("victim", ["task", "backend", "scheduler"])
def test_a_run_whose_dbt_is_killed_in_a_model_succeeds(
    pipeline: Pipeline, probe: Probe, victim: str
) -> None:
    probe(HANGS)
    run_id = pipeline.start()
    with psycopg.connect(pipeline.stack.settings.admin_dsn("analytics"), autocommit=True) as server:
        wait_until(lambda: hanging(server) is not None, 300)
        backend = hanging(server)
        assert backend is not None
        fix(pipeline)
        # Models with a green mirror are not built again.
        wait_until(lambda: len(green(pipeline, run_id)) >= 5, 240)
        built = green(pipeline, run_id)
        if victim == "backend":
            os.kill(backend, signal.SIGKILL)
        else:
            process = scheduler_of(pipeline)
            (process if victim == "scheduler" else processes_of_tasks(process)[0]).kill()
    assert pipeline.finish(run_id)
    tries = pipeline.task(run_id, "dbt_build").try_number
    assert tries > 1
    assert {"probe", "after_probe"} <= pipeline.started_nodes(run_id, tries)
    for number in range(2, tries + 1):
        assert not built & pipeline.started_nodes(run_id, number)
    assert set(pipeline.mirrors(run_id).values()) == {"success"}
    with psycopg.connect(pipeline.stack.settings.admin_dsn("analytics")) as server:
        assert hanging(server) is None


def green(pipeline: Pipeline, run_id: str) -> set[str]:
    return {name for name, state in pipeline.mirrors(run_id).items() if state == "success"}


def fix(pipeline: Pipeline) -> None:
    """Make the probe succeed from here on."""
    with connect(pipeline.stack.settings, "owner") as warehouse:
        warehouse.execute(
            "create or replace function public.probe() returns int language sql as 'select 1'"
        )


def hanging(server: psycopg.Connection) -> int | None:
    """The pid of the dbt session that is in the long call of the probe, or None."""
    row = server.execute(
        """
        select pid from pg_stat_activity
        where datname = current_database() and application_name = %s and wait_event = 'PgSleep'
        """,
        [APPLICATION_NAME],
    ).fetchone()
    return row[0] if row else None


def scheduler_of(pipeline: Pipeline) -> psutil.Process:
    programs = supervision.programs(Layout(pipeline.stack.root))
    return psutil.Process(
        next(program.pid for program in programs if program.name == "airflow-scheduler")
    )


def processes_of_tasks(scheduler: psutil.Process) -> list[psutil.Process]:
    """The processes of running tasks, such as dbt. The workers of the scheduler fork them."""
    return [process for worker in scheduler.children() for process in worker.children()]


def clear(api: AirflowApi, run_id: str, tasks: list[str], *, downstream: bool = False) -> None:
    body = {
        "dag_run_id": run_id,
        "task_ids": tasks,
        "dry_run": False,
        "only_failed": False,
        "include_downstream": downstream,
    }
    api.call("POST", f"/api/v2/dags/{PIPELINE}/clearTaskInstances", body)
