"""The tasks of the DAGs alone, in a real warehouse: their run, their alerts, their records."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from saas_analytics.pipeline.build_log import record_failure
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.receivers import hook

PIPELINE, MICROBATCH = "saas_analytics_pipeline", "saas_analytics_microbatch"
ONE, OTHER = "test.saas_analytics.one", "test.saas_analytics.other"


@pytest.fixture
def tasks(
    warehouse: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[ModuleType]:
    """The module warehouse_tasks. `tasks.alerts` has the texts of its alerts."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow")
    for name in ("PIPELINE_RUN_ID", "PIPELINE_RUN_URL", "AIRFLOW_CONN_ALERTS_SLACK"):
        monkeypatch.setenv(name, "")
    with hook() as receiver:
        settings = replace(
            warehouse, slack_webhook_url=f"http://127.0.0.1:{receiver.server_port}/hook"
        )
        for key, value in settings.environment().items():
            monkeypatch.setenv(key, value)
        import warehouse_tasks

        monkeypatch.setattr(warehouse_tasks, "alerts", receiver.got, raising=False)
        yield warehouse_tasks


def context_of(
    task: Any, settings: Settings, run_id: str, day: str | None = "2026-01-05", **more: Any
) -> Any:
    """The context that Airflow gives a task of a run, or its callback."""
    run = SimpleNamespace(
        dag_id=task.dag_id,
        run_id=run_id,
        run_type="scheduled",
        conf={"day": day},
        logical_date=None,
        run_after=datetime.now(UTC),
    )
    names = {"dag_id": task.dag_id, "task_id": task.task_id}
    instance = SimpleNamespace(
        **names, try_number=1, log_url="http://log", xcom_push=lambda key, value: None
    )
    params = {"warehouse": settings.database, **({"day": day} if day else {})}
    return {
        "task": task,
        "ti": instance,
        "dag_run": run,
        "run_id": run_id,
        "params": params,
        **more,
    }


def task_of(tasks: ModuleType, dag_id: str, task_id: str) -> Any:
    from airflow.sdk import DAG

    with DAG(dag_id):
        if task_id == "dbt_build":
            return tasks.WarehouseBuild(
                task_id=task_id,
                manifest=Path("manifest.json"),
                skip_unchanged=dag_id == MICROBATCH,
            )
        return tasks.Command(task_id=task_id, command="land")


def ended(settings: Settings, run: str, **statuses: str) -> None:
    """Record how the nodes of a run ended."""
    nodes = {"one": ONE, "other": OTHER}
    with psycopg.connect(settings.dsn("transformer")) as server:
        for name, status in statuses.items():
            server.execute(
                "insert into quality.dbt_results (run_id, node_id, status, seconds)"
                " values (%s, %s, %s, 1)",
                [run, nodes[name], status],
            )


def heads(tasks: ModuleType) -> list[str]:
    return [text.splitlines()[0].strip("*") for text in tasks.alerts]


def test_runs_of_two_dags_with_the_same_name_differ_in_the_warehouse(
    tasks: ModuleType, warehouse: Settings
) -> None:
    names = set()
    for dag_id in (PIPELINE, MICROBATCH):
        tasks.enter_warehouse(
            context_of(task_of(tasks, dag_id, "dbt_build"), warehouse, "scheduled__2026-01-06")
        )
        names.add(os.environ["PIPELINE_RUN_ID"])
    assert names == {f"{PIPELINE}/scheduled__2026-01-06", f"{MICROBATCH}/scheduled__2026-01-06"}


def test_a_build_of_another_warehouse_reads_its_manifest(
    tasks: ModuleType, warehouse: Settings
) -> None:
    build = task_of(tasks, PIPELINE, "dbt_build")
    manifest = build.manifest_of(context_of(build, warehouse, "run"))
    assert manifest == PROJECT_ROOT / "dbt/target" / warehouse.database / "manifest.json"


def test_each_failed_node_is_reported_once_and_when_it_is_resolved(
    tasks: ModuleType, warehouse: Settings
) -> None:
    build, micro = task_of(tasks, PIPELINE, "dbt_build"), task_of(tasks, MICROBATCH, "dbt_build")
    ended(warehouse, f"{PIPELINE}/1", one="fail", other="pass")
    tasks.notify_failure(context_of(build, warehouse, "1", exception=ValueError("1 node failed")))
    ended(warehouse, f"{MICROBATCH}/2", one="fail", other="pass")
    tasks.notify_failure(
        context_of(micro, warehouse, "2", None, exception=ValueError("1 node failed"))
    )
    assert heads(tasks) == [f"Failed: {PIPELINE}.dbt_build"]
    assert "test one: fail" in tasks.alerts[0]
    # Another node fails, and the first is fixed.
    ended(warehouse, f"{PIPELINE}/3", one="pass", other="fail")
    tasks.notify_failure(context_of(build, warehouse, "3", exception=ValueError("1 node failed")))
    assert heads(tasks)[1:] == [f"Resolved: {PIPELINE}.dbt_build", f"Failed: {PIPELINE}.dbt_build"]
    assert ONE in tasks.alerts[1]
    assert "test other: fail" in tasks.alerts[2] and "test one" not in tasks.alerts[2]
    tasks.notify_success(context_of(micro, warehouse, "4", None))
    assert heads(tasks)[3:] == [f"Resolved: {MICROBATCH}.dbt_build"]
    assert OTHER in tasks.alerts[3] and ONE not in tasks.alerts[3]


def test_the_success_of_another_day_resolves_nothing(
    tasks: ModuleType, warehouse: Settings
) -> None:
    land = task_of(tasks, PIPELINE, "land")
    tasks.notify_failure(
        context_of(land, warehouse, "1", "2026-01-05", exception=ValueError("refused"))
    )
    tasks.notify_success(context_of(land, warehouse, "2", "2026-01-06"))
    assert heads(tasks) == [f"Failed: {PIPELINE}.land"]
    tasks.notify_success(context_of(land, warehouse, "3", "2026-01-05"))
    assert heads(tasks)[1:] == [f"Resolved: {PIPELINE}.land"]


def test_a_late_run_and_its_end_are_reported_except_in_a_backfill(
    tasks: ModuleType, warehouse: Settings
) -> None:
    publish = task_of(tasks, PIPELINE, "publish")

    def late(run_id: str, run_type: str) -> None:
        run = {"dag_id": PIPELINE, "dag_run_id": run_id, "run_type": run_type, "state": "running"}
        conf = {"day": "2026-01-05", "warehouse": warehouse.database}
        tasks.notify_missed_deadline(
            {"dag_run": {**run, "conf": conf}, "deadline": {"deadline_time": "noon"}}
        )

    late("0", "backfill")
    late("1", "scheduled")
    late("2", "scheduled")
    tasks.notify_ended_run(context_of(publish, warehouse, "1"))
    assert heads(tasks) == [*[f"Failed: {PIPELINE} is late"] * 2, f"Resolved: {PIPELINE} is late"]
    assert "run 1 has ended" in tasks.alerts[2]


def test_a_microbatch_does_not_repeat_a_failed_build(
    tasks: ModuleType, warehouse: Settings
) -> None:
    build = task_of(tasks, MICROBATCH, "dbt_build")
    first, second = (context_of(build, warehouse, run_id, None) for run_id in ("1", "2"))
    build.failed(first, "x", tasks.TestsFailed())
    with pytest.raises(AirflowSkipException, match=f"the build of run {MICROBATCH}/1 failed"):
        build.already_built(second, "x")
    assert build.already_built(second, "y") is None  # something has landed
    assert build.already_built(first, "x") is None  # its own next try
    daily = task_of(tasks, PIPELINE, "dbt_build")
    assert daily.already_built(context_of(daily, warehouse, "3"), "x") is None
    # A failure that the data did not cause may be over.
    tasks.enter_warehouse(first)
    record_failure(warehouse, "x", lasts=False)
    with pytest.raises(AirflowSkipException):
        build.already_built(second, "x")
    with psycopg.connect(warehouse.dsn("transformer")) as server:
        server.execute("update quality.failed_build set failed_at = now() - interval '2 hours'")
    assert build.already_built(second, "x") is None


def test_rejects_by_rule_can_be_queried_with_and_without_its_model(warehouse: Settings) -> None:
    query = "select source, rule, landed_on::text, rows from quality.rejects_by_rule"
    create = (
        "create table staging.stg_rejects as select 'orders' as source, 'no_total' as rule,"
        " date '2026-01-05' as landed_on from generate_series(1, {})"
    )
    with psycopg.connect(warehouse.dsn("transformer"), autocommit=True) as server:
        assert server.execute(query).fetchall() == []
        for rows in (2, 3):
            server.execute("drop table if exists staging.stg_rejects cascade")
            server.execute(create.format(rows))
            assert server.execute(query).fetchall() == [("orders", "no_total", "2026-01-05", rows)]
