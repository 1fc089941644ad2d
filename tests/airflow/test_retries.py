"""What becomes of a run in which something fails: tried again, stopped, cleared, killed. In a real Airflow."""

from __future__ import annotations

import os
import signal

import psutil
import psycopg
import pytest

from infrastructure.local import supervision
from infrastructure.local.airflow_api import AirflowApi
from infrastructure.local.layout import PIPELINE, Layout
from infrastructure.transform import APPLICATION_NAME
from infrastructure.warehouse import connect
from tests.airflow.conftest import Pipeline, Probe, wait_until

FAILS_TWICE = "if tries <= 2 then raise 'not yet'; end if; return 1;"
HANGS = "perform pg_sleep(600); return 1;"
FAILS_ITS_TEST = "return 2;"


def test_a_model_that_fails_twice_ends_in_a_green_run_that_built_the_others_once(
    pipeline: Pipeline, probe: Probe
) -> None:
    probe(FAILS_TWICE)
    run_id = pipeline.start()
    assert pipeline.finish(run_id)
    assert pipeline.task(run_id, "dbt_build").try_number == 3
    first, second, third = (pipeline.started_nodes(run_id, number) for number in (1, 2, 3))
    assert {"probe", "fact_events", "active_users"} <= first
    assert "after_probe" not in first
    assert second == {"probe"}
    assert third == {"probe", "after_probe"}
    # No mirror told of a failure that a retry mended.
    assert set(pipeline.mirrors(run_id).values()) == {"success"}
    with connect(pipeline.stack.settings, "owner") as warehouse:
        kept = warehouse.execute(
            "select status, count(*) from quality.dbt_results where run_id = %s group by status", [run_id]
        ).fetchall()
        published = warehouse.execute("select count(*) from quality.pipeline_runs where run_id = %s", [run_id])
        assert published.fetchone() == (1,)
    assert {status for status, _ in kept} == {"success", "pass"}


def test_a_failed_test_ends_in_a_red_run_at_once_and_clearing_its_mirror_mends_it(
    pipeline: Pipeline, probe: Probe, api: AirflowApi
) -> None:
    probe(FAILS_ITS_TEST)
    run_id = pipeline.start()
    assert not pipeline.finish(run_id)
    build = pipeline.task(run_id, "dbt_build")
    assert (build.state, build.try_number) == ("failed", 1)
    assert pipeline.task(run_id, "publish").state == "upstream_failed"
    mirrors = pipeline.mirrors(run_id)
    assert (mirrors.pop("probe"), mirrors.pop("after_probe")) == ("failed", "skipped")
    assert set(mirrors.values()) == {"success"}
    with connect(pipeline.stack.settings, "reporter") as warehouse:
        assert warehouse.execute("select count(*) > 0 from marts.active_users").fetchone() == (True,)

    mend(pipeline)
    clear(api, run_id, ["marts.probe"])
    # To the end of the run, which stays red: where a run is about to end, Airflow's clear reads that it runs, and does
    # not start it again.
    assert not pipeline.finish(run_id)
    assert pipeline.mirrors(run_id)["probe"] == "success"
    with connect(pipeline.stack.settings, "reporter") as warehouse:
        assert warehouse.execute("select n from marts.probe").fetchone() == (1,)
    # Cleared with what follows it, the build goes on where it failed, and its mirrors follow it again.
    clear(api, run_id, ["dbt_build"], downstream=True)
    assert pipeline.finish(run_id)
    assert pipeline.started_nodes(run_id, 2) == {"probe", "after_probe"}
    assert set(pipeline.mirrors(run_id).values()) == {"success"}


@pytest.mark.long
@pytest.mark.parametrize("victim", ["task", "backend", "scheduler"])
def test_a_run_whose_dbt_is_killed_in_a_model_ends_by_itself(pipeline: Pipeline, probe: Probe, victim: str) -> None:
    probe(HANGS)
    run_id = pipeline.start()
    with psycopg.connect(pipeline.stack.settings.admin_dsn("analytics"), autocommit=True) as server:
        wait_until(lambda: hanging(server) is not None, 300)
        backend = hanging(server)
        assert backend is not None
        mend(pipeline)
        # Those that a mirror has told of are kept.
        wait_until(lambda: len(green(pipeline, run_id)) >= 10, 240)
        built = green(pipeline, run_id)
        if victim == "backend":
            os.kill(backend, signal.SIGKILL)
        else:
            layout = Layout(pipeline.stack.root)
            scheduler = next(p for p in supervision.programs(layout) if p.name == "airflow-scheduler")
            process = psutil.Process(scheduler.pid)
            (process if victim == "scheduler" else process_of_task(process)).kill()
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


def mend(pipeline: Pipeline) -> None:
    """From here on the probe does what it should."""
    with connect(pipeline.stack.settings, "owner") as warehouse:
        warehouse.execute("create or replace function public.probe() returns int language sql as 'select 1'")


def hanging(server: psycopg.Connection) -> int | None:
    """The session of dbt that is in the long call of the probe."""
    row = server.execute(
        """
        select pid from pg_stat_activity
        where datname = current_database() and application_name = %s and wait_event = 'PgSleep'
        """,
        [APPLICATION_NAME],
    ).fetchone()
    return row[0] if row else None


def process_of_task(scheduler: psutil.Process) -> psutil.Process:
    """The process in which dbt runs: the one that a worker of the scheduler has forked."""
    workers = scheduler.children()
    (task,) = [process for worker in workers for process in worker.children()]
    return task


def clear(api: AirflowApi, run_id: str, tasks: list[str], *, downstream: bool = False) -> None:
    body = {
        "dag_run_id": run_id,
        "task_ids": tasks,
        "dry_run": False,
        "only_failed": False,
        "include_downstream": downstream,
    }
    api.call("POST", f"/api/v2/dags/{PIPELINE}/clearTaskInstances", body)
