"""Ways to start runs of the pipeline: Airflow's own command, a backfill, `make trigger`."""

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
        # The command takes ten seconds.
        pytest.param("undated", None, id="without one", marks=pytest.mark.long),
    ],
)
def test_airflows_own_command_triggers_it(
    stack: Stack, pipeline: Pipeline, run_id: str, day: date | None
) -> None:
    dated = ("--logical-date", str(day)) if day else ()
    command = ("-m", "airflow", "dags", "trigger", PIPELINE, "--run-id", run_id, *dated)
    stack.run(*command, environment=shell_environment(stack.settings))
    assert pipeline.finish(run_id)
    with connect(stack.settings, "owner") as warehouse:
        query = "select day from quality.pipeline_runs where run_id = %s"
        days = warehouse.execute(query, [f"{PIPELINE}/{run_id}"]).fetchall()
    assert days == [(day or YESTERDAY,)]


def test_a_backfill_runs_only_its_days(stack: Stack) -> None:
    first, last = YESTERDAY - timedelta(days=6), YESTERDAY - timedelta(days=5)
    done = stack.local("backfill", "--from", str(first), "--to", str(last))
    assert f"{first}: success" in done.stdout and f"{last}: success" in done.stdout
    with connect(stack.settings, "owner") as warehouse:
        # Other tests run other days.
        query = "select day from quality.pipeline_runs where run_id like %s order by day"
        days = warehouse.execute(query, [f"{PIPELINE}/backfill\\_\\_%"]).fetchall()
    assert days == [(first,), (last,)]


def test_a_failed_run_in_another_warehouse_shows_why(stack: Stack, api: AirflowApi) -> None:
    """The API fails the run while dbt builds: a task that fails is retried for minutes."""
    day = YESTERDAY - timedelta(days=7)  # no other test runs it
    with ThreadPoolExecutor(1) as shell:
        command = shell.submit(
            stack.local,
            *("trigger", "--day", str(day)),
            check=False,
            environment={"WAREHOUSE_DB": "elsewhere"},
        )
        # Repeated, because a task that starts at the same moment sets the run back to running.
        while not command.done():
            running = api.call("GET", f"/api/v2/dags/{PIPELINE}/dagRuns?state=running")
            for run in running["dag_runs"]:
                tasks = api.tasks(PIPELINE, run["dag_run_id"])
                states = {task.task_id: task.state for task in tasks}
                if states["dbt_build"] == "running":
                    path = f"/api/v2/dags/{PIPELINE}/dagRuns/{run['dag_run_id']}"
                    api.call("PATCH", path, {"state": "failed"})
            Event().wait(0.2)
        done = command.result()
    assert done.returncode == 1, done.stdout
    assert "Task dbt_build failed at try 1. The end of its log:" in done.stderr
    assert "dbt" in done.stderr
    for database, landed in (("elsewhere", [(day,)]), ("analytics", [])):
        with connect(stack.settings, "owner", database) as warehouse:
            query = "select distinct landed_on from raw.loads where landed_on = %s"
            assert warehouse.execute(query, [day]).fetchall() == landed


def test_an_invalid_day_is_refused(stack: Stack) -> None:
    refused = stack.local("trigger", "--day", "2026-13-01", check=False)
    assert refused.returncode == 2
    assert "'2026-13-01' is not a day like 2026-01-31" in refused.stderr
