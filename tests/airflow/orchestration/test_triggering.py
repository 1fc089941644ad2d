"""The ways to start runs of the pipeline: Airflow's own command, a backfill, `make trigger`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

from infrastructure.local.airflow_api import AirflowApi
from infrastructure.local.environment import shell_environment
from infrastructure.local.layout import PIPELINE
from infrastructure.warehouse import connect
from tests.airflow.conftest import Pipeline
from tests.conftest import Stack

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


def test_airflows_own_command_triggers_it_for_a_date_and_without_one(stack: Stack, pipeline: Pipeline) -> None:
    settings = stack.settings
    command = ("-m", "airflow", "dags", "trigger", PIPELINE)
    dated = YESTERDAY - timedelta(days=2)
    environment = shell_environment(settings)
    stack.run(*command, "--run-id", "dated", "--logical-date", str(dated), environment=environment)
    stack.run(*command, "--run-id", "undated", environment=environment)

    for run_id in ("dated", "undated"):
        assert pipeline.finish(run_id)
    with connect(settings, "owner") as warehouse:
        days = {day for (day,) in warehouse.execute("select day from quality.pipeline_runs")}
    assert {dated, YESTERDAY} <= days


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
