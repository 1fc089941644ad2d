"""Marts as assets: what changed starts the DAGs that wait for it, and what did not change starts nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from saas_analytics.layout import PIPELINE
from saas_analytics.pipeline.changed_marts import changed_marts
from saas_analytics.stack.airflow_api import AirflowApi
from saas_analytics.warehouse import connect
from tests.airflow.conftest import Pipeline, contents
from tests.conftest import Stack
from tests.waiting import wait_until

WAITING = "example_after_mrr"


def test_marts_that_changed_start_the_dags_that_wait_for_them(
    stack: Stack, pipeline: Pipeline, api: AirflowApi
) -> None:
    # The marts are there, and as they should be whatever a test before this one has left.
    assert pipeline.finish(pipeline.start())
    # A day of so small a company changes no recurring revenue: as if nobody had been told of it yet. Nor has anybody
    # been told what runs changed that failed afterwards.
    with connect(stack.settings, "owner") as warehouse:
        warehouse.execute("delete from quality.told_marts where mart = 'mrr'")
    untold = {f"marts.{mart}" for mart in changed_marts(stack.settings)}
    before = contents(stack, "analytics")
    api.call("PATCH", f"/api/v2/dags/{WAITING}", {"is_paused": False})
    day = datetime.now(UTC).date() - timedelta(days=5)
    run_id = pipeline.start(day)
    assert pipeline.finish(run_id)
    after = contents(stack, "analytics")
    changed = {table for table in after if table.startswith("marts.") and after[table] != before.get(table)}
    assert changed and "marts.mrr" in untold
    assert events(api, run_id) == changed | untold

    def ended() -> bool:
        runs = api.call("GET", f"/api/v2/dags/{WAITING}/dagRuns")["dag_runs"]
        return [run["state"] for run in runs] == ["success"]

    wait_until(ended, 120)
    # The same files again change nothing.
    again = pipeline.start(day)
    assert pipeline.finish(again)
    assert events(api, again) == set()
    assert contents(stack, "analytics") == after


def events(api: AirflowApi, run_id: str) -> set[str]:
    query = f"source_dag_id={PIPELINE}&source_run_id={run_id}&limit=100"
    return {event["name"] for event in api.call("GET", f"/api/v2/assets/events?{query}")["asset_events"]}
