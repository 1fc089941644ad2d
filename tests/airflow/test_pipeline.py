"""The DAG: its definition, the day of a run, and runs in a real Airflow."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from saas_analytics.layout import PIPELINE, Layout
from saas_analytics.settings import PROJECT_ROOT
from saas_analytics.stack.runs import why_no_run
from saas_analytics.warehouse import connect
from tests.conftest import Stack

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
DAG_FILE = PROJECT_ROOT / "airflow/dags/saas_analytics_pipeline.py"


@pytest.fixture(scope="module")
def dag_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The DAG's file as a module, in an Airflow without a stack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("WAREHOUSE_PORT", "1")
        spec = importlib.util.spec_from_file_location("pipeline_under_test", DAG_FILE)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


def run_of(
    conf: dict[str, Any] | None = None, logical: str | None = None, after: str = "2026-03-10T14:00"
) -> Any:
    """A run as its task sees it: configuration, logical date, earliest start."""
    return SimpleNamespace(
        conf=conf,
        logical_date=datetime.fromisoformat(logical).replace(tzinfo=UTC) if logical else None,
        run_after=datetime.fromisoformat(after).replace(tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("run", "day"),
    [
        pytest.param(run_of(), "2026-03-09", id="by hand, without a date: yesterday"),
        pytest.param(run_of(logical="2026-01-05"), "2026-01-05", id="--logical-date 2026-01-05"),
        pytest.param(
            run_of(conf={"day": "2026-01-05"}),
            "2026-01-05",
            id="--conf day, or `make trigger DAY=`",
        ),
        pytest.param(
            run_of(conf={"day": None}), "2026-03-09", id="the form of the web interface, empty"
        ),
        pytest.param(
            run_of(logical="2026-03-10T13:59"),
            "2026-03-09",
            id="the web interface, which fills in now",
        ),
        pytest.param(
            run_of({"day": "2026-02-01"}, "2026-01-05"),
            "2026-02-01",
            id="a configuration wins over the date",
        ),
        pytest.param(
            run_of(logical="2026-01-05T00:30", after="2026-01-06T00:30"),
            "2026-01-05",
            id="by schedule",
        ),
    ],
)
def test_the_day_of_a_run(dag_file: ModuleType, run: Any, day: str) -> None:
    assert dag_file.day_of_run(run) == date.fromisoformat(day)


def test_the_schedule_runs_each_day_after_its_end(dag_file: ModuleType) -> None:
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import datetime as moment

    last = DataInterval(moment(2026, 1, 4, 0, 30), moment(2026, 1, 5, 0, 30))
    run = dag_file.DAY_AFTER_DAY.next_dagrun_info(
        last_automated_data_interval=last, restriction=TimeRestriction(None, None, catchup=True)
    )
    assert run.run_after == moment(2026, 1, 6, 0, 30)
    created = SimpleNamespace(conf={}, logical_date=run.logical_date, run_after=run.run_after)
    assert dag_file.day_of_run(created) == date(2026, 1, 5)


def test_a_new_stack_does_not_start_with_a_run(dag_file: ModuleType) -> None:
    from airflow.timetables.base import TimeRestriction

    first = dag_file.DAY_AFTER_DAY.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert first.run_after > datetime.now(UTC)


def test_the_dag_has_the_tasks_and_settings_of_its_documentation(dag_file: ModuleType) -> None:
    dag = dag_file.publish.dag
    tasks = {task.task_id: task for task in dag.tasks if task.operator_name != "DbtMirror"}
    assert list(tasks) == [
        "generate",
        "land",
        "source_freshness",
        "dbt_build",
        "quality_report",
        "publish",
    ]
    follows = {
        "generate": "land",
        "land": "source_freshness",
        "source_freshness": "dbt_build",
        "dbt_build": "publish",
    }
    assert all(follower in tasks[task].downstream_task_ids for task, follower in follows.items())
    assert (dag.dag_id, dag.catchup, dag.max_active_runs) == (PIPELINE, False, 1)
    assert all(task.retries == 3 and task.retry_exponential_backoff == 2 for task in tasks.values())
    assert all(task.max_retry_delay == timedelta(minutes=10) for task in tasks.values())
    assert tasks["land"].trigger_rule == "none_failed"
    pooled = {name for name, task in tasks.items() if task.pool == "transform"}
    assert pooled == {"source_freshness", "dbt_build"}
    assert len(DAG_FILE.read_text().splitlines()) <= 100


def test_a_run_lands_builds_and_publishes_its_day(stack: Stack) -> None:
    day = YESTERDAY - timedelta(days=3)
    with connect(stack.settings, "owner") as warehouse:
        query = "select coalesce(max(load_id), 0) from raw.loads"
        loads_before = warehouse.execute(query).fetchone()
    done = stack.local("trigger", "--day", str(day))
    assert all(
        f"{task}: success" in done.stdout for task in ("generate", "land", "dbt_build", "publish")
    )
    with connect(stack.settings, "owner") as warehouse:
        query = "select summary from quality.pipeline_runs where day = %s"
        (summary,) = warehouse.execute(query, [day]).fetchall()[0]
        query = "select distinct delivered_on from raw.loads where load_id > %s"
        delivered = warehouse.execute(query, loads_before).fetchall()
    # Everything that the day delivered: its own files, and corrections of earlier days.
    assert delivered == [(day,)]
    assert {entry["source"] for entry in summary["landed"]} >= {
        "events",
        "users",
        "orders",
        "products",
    }
    assert set(summary["dbt"]["model"]) == {"success"}
    assert set(summary["dbt"]["test"]) == {"pass"} and "unit_test" not in summary["dbt"]
    assert summary["kpis"]["active_users"]["day"] == str(day)
    reports = stack.root / ".local/reports" / stack.settings.database
    sections = json.loads((reports / f"{day}.json").read_text())["sections"]
    complete = {row["source"]: row["verdict"] for row in sections["completeness"]}
    assert {complete[source] for source in ("events", "users", "orders")} == {"complete"}
    assert sections["freshness"] and sections["reconciliations"] and sections["slowest"]
    assert not sections["failures"]
    assert "<h1>Data quality of" in (reports / f"{day}.html").read_text()
    with connect(stack.settings, "owner") as warehouse:
        # In the lineage, the task is the parent of every dbt run.
        lines = (Layout(stack.root).logs / "lineage/events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        built_by = {
            event["run"]["facets"]["parent"]["run"]["runId"]
            for event in events
            if "dbt_run" in str(event)
        }
        runs_of_tasks = {
            event["run"]["runId"]
            for event in events
            if event["job"]["name"] == f"{PIPELINE}.dbt_build"
        }
        assert built_by and built_by <= runs_of_tasks
        query = "select value from quality.daily_metrics where day = %s and metric = 'kpi.dau'"
        active = summary["kpis"]["active_users"]["dau"]
        assert warehouse.execute(query, [day]).fetchall() == [(active,)]


def test_a_day_without_a_run_has_a_reason() -> None:
    assert "when it is over" in why_no_run(YESTERDAY + timedelta(days=1))
    assert "a run of this day goes on" in why_no_run(YESTERDAY)
