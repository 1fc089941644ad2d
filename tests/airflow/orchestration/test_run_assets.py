"""Marts as assets: a changed mart starts the DAGs that wait for it, an unchanged one does not."""

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


def test_changed_marts_start_the_dags_that_wait_for_them(
    stack: Stack, pipeline: Pipeline, api: AirflowApi
) -> None:
    # After this run the marts exist and are correct, whatever earlier tests did.
    assert pipeline.finish(pipeline.start())
    # A day of this small company does not change the recurring revenue. So the test deletes the
    # record of its notification. Changes of runs that failed afterwards have no record either.
    with connect(stack.settings, "owner") as warehouse:
        warehouse.execute("delete from quality.told_marts where mart = 'mrr'")
    unnotified = {f"marts.{mart}" for mart in changed_marts(stack.settings)}
    before = contents(stack, "analytics")
    api.call("PATCH", f"/api/v2/dags/{WAITING}", {"is_paused": False})
    day = datetime.now(UTC).date() - timedelta(days=5)
    run_id = pipeline.start(day)
    assert pipeline.finish(run_id)
    after = contents(stack, "analytics")
    changed = {
        table for table in after if table.startswith("marts.") and after[table] != before.get(table)
    }
    assert changed and "marts.mrr" in unnotified
    assert events(api, run_id) == changed | unnotified

    def ended() -> bool:
        runs = api.call("GET", f"/api/v2/dags/{WAITING}/dagRuns")["dag_runs"]
        return [run["state"] for run in runs] == ["success"]

    wait_until(ended, 120)
    # Landing the same files again changes nothing.
    again = pipeline.start(day)
    assert pipeline.finish(again)
    assert events(api, again) == set()
    assert contents(stack, "analytics") == after


def events(api: AirflowApi, run_id: str) -> set[str]:
    query = f"source_dag_id={PIPELINE}&source_run_id={run_id}&limit=100"
    return {
        event["name"] for event in api.call("GET", f"/api/v2/assets/events?{query}")["asset_events"]
    }
