"""The ways to start runs of the pipeline: Airflow's own command, a backfill, `make trigger`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Event

import pytest

from saas_analytics.layout import PIPELINE
from saas_analytics.stack.airflow_api import AirflowApi
from saas_analytics.stack.environment import shell_environment
from saas_analytics.warehouse import connect
from tests.airflow.conftest import Pipeline
from tests.conftest import Stack

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.mark.parametrize(
    ("run_id", "day"),
    [
        pytest.param("dated", YESTERDAY - timedelta(days=2), id="for a date"),
        pytest.param("undated", None, id="without one", marks=pytest.mark.long),  # the command takes ten seconds
    ],
)
def test_airflows_own_command_triggers_it(stack: Stack, pipeline: Pipeline, run_id: str, day: date | None) -> None:
    dated = ("--logical-date", str(day)) if day else ()
    command = ("-m", "airflow", "dags", "trigger", PIPELINE, "--run-id", run_id, *dated)
    stack.run(*command, environment=shell_environment(stack.settings))
    assert pipeline.finish(run_id)
    with connect(stack.settings, "owner") as warehouse:
        query = "select day from quality.pipeline_runs where run_id = %s"
        assert warehouse.execute(query, [f"{PIPELINE}/{run_id}"]).fetchall() == [(day or YESTERDAY,)]


def test_a_backfill_runs_its_days_and_no_other(stack: Stack) -> None:
    first, last = YESTERDAY - timedelta(days=6), YESTERDAY - timedelta(days=5)
    done = stack.local("backfill", "--from", str(first), "--to", str(last))
    assert f"{first}: success" in done.stdout and f"{last}: success" in done.stdout
    with connect(stack.settings, "owner") as warehouse:
        # Other tests have run other days.
        query = "select day from quality.pipeline_runs where run_id like %s order by day"
        days = warehouse.execute(query, [f"{PIPELINE}/backfill\\_\\_%"]).fetchall()
    assert days == [(first,), (last,)]


def test_a_failed_run_in_another_warehouse_shows_why(stack: Stack, api: AirflowApi) -> None:
    """The run is failed by hand while dbt builds: a task that fails by itself is tried again for minutes."""
    day = YESTERDAY - timedelta(days=7)  # which no other test runs
    with ThreadPoolExecutor(1) as shell:
        command = shell.submit(
            stack.local, "trigger", "--day", str(day), check=False, environment={"WAREHOUSE_DB": "elsewhere"}
        )
        # Again until it holds: a task that starts in the same moment sets the run back to running.
        while not command.done():
            for run in api.call("GET", f"/api/v2/dags/{PIPELINE}/dagRuns?state=running")["dag_runs"]:
                states = {task.task_id: task.state for task in api.tasks(PIPELINE, run["dag_run_id"])}
                if states["dbt_build"] == "running":
                    api.call("PATCH", f"/api/v2/dags/{PIPELINE}/dagRuns/{run['dag_run_id']}", {"state": "failed"})
            Event().wait(0.2)
        done = command.result()
    assert done.returncode == 1, done.stdout
    assert "Task dbt_build failed at try 1. The end of its log:" in done.stderr
    assert "dbt" in done.stderr
    for database, landed in (("elsewhere", [(day,)]), ("analytics", [])):
        with connect(stack.settings, "owner", database) as warehouse:
            query = "select distinct landed_on from raw.loads where landed_on = %s"
            assert warehouse.execute(query, [day]).fetchall() == landed


def test_a_day_that_is_none_is_refused(stack: Stack) -> None:
    refused = stack.local("trigger", "--day", "2026-13-01", check=False)
    assert refused.returncode == 2
    assert "'2026-13-01' is not a day like 2026-01-31" in refused.stderr
