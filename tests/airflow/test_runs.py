"""Ways to start a run in a real Airflow: clock, files, button, concurrently, backfill."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from saas_analytics.layout import PIPELINE, Layout
from saas_analytics.settings import PROJECT_ROOT
from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.airflow_api import AirflowApi, Task
from saas_analytics.stack.environment import shell_environment
from saas_analytics.warehouse import connect
from tests.airflow.conftest import Pipeline, contents
from tests.conftest import Stack
from tests.waiting import wait_until

MICROBATCH, MAINTENANCE = "saas_analytics_microbatch", "maintenance"
CHROMIUM = "/usr/bin/chromium"
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
FOUNDED = TODAY - timedelta(days=10)  # of the company of the stack


@pytest.fixture
def microbatch(api: AirflowApi) -> Iterator[None]:
    """The micro-batch, switched on for one test."""
    api.call("PATCH", f"/api/v2/dags/{MICROBATCH}", {"is_paused": False})
    yield
    api.call("PATCH", f"/api/v2/dags/{MICROBATCH}", {"is_paused": True})


def runs_of(api: AirflowApi, dag_id: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = api.call(
        "GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=-run_after"
    )["dag_runs"]
    return answer


def results(stack: Stack, run_id: str) -> int:
    """The number of nodes that dbt ran in a run of the micro-batch."""
    with connect(stack.settings, "owner") as warehouse:
        query = "select count(*) from quality.dbt_results where run_id = %s"
        row = warehouse.execute(query, [f"{MICROBATCH}/{run_id}"]).fetchone()
    assert row
    return int(row[0])


@pytest.mark.long
def test_a_file_that_arrives_lands_and_is_built_by_the_next_microbatch(
    stack: Stack, pipeline: Pipeline, api: AirflowApi, microbatch: None
) -> None:
    """Switching the DAG on starts the first run. A run without files does not start dbt."""
    folder = stack.root / "incoming/jaffle_shop_customers"
    folder.mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / "tests/data/jaffle_shop/raw_customers.csv", folder / ".writing")
    (folder / ".writing").rename(folder / "raw_customers.csv")
    (folder / "raw_customers.csv.done").touch()
    wait_until(lambda: bool(runs_of(api, MICROBATCH)), 60)
    first = runs_of(api, MICROBATCH)[-1]["dag_run_id"]
    assert pipeline.finish(first, dag_id=MICROBATCH)
    assert [path.name for path in (folder / "processed").iterdir()] == ["raw_customers.csv"]
    assert results(stack, first) > 100
    with connect(stack.settings, "owner") as warehouse:
        landed = (
            "select count(*) from core.dim_customers where is_current and customer_id ~ '^[0-9]+$'"
        )
        assert warehouse.execute(landed).fetchone() == (100,)

    started = api.call("POST", f"/api/v2/dags/{MICROBATCH}/dagRuns", {"logical_date": None})
    second = started["dag_run_id"]
    assert pipeline.finish(second, dag_id=MICROBATCH)
    assert results(stack, second) == 0
    log = "\n".join(api.task_log(MICROBATCH, second, Task("dbt_build", None, 1)))
    assert "Nothing has landed since" in log
    assert "Running with dbt" not in log


def test_maintenance_runs(stack: Stack, pipeline: Pipeline, api: AirflowApi) -> None:
    old = Layout(stack.root).logs / "airflow/dag_id=gone/run_id=1/task_id=1/attempt=1.log"
    old.parent.mkdir(parents=True)
    old.touch()
    os.utime(old, (0, 0))
    started = api.call("POST", f"/api/v2/dags/{MAINTENANCE}/dagRuns", {"logical_date": None})
    run_id = started["dag_run_id"]
    assert pipeline.finish(run_id, dag_id=MAINTENANCE)
    log = "\n".join(api.task_log(MAINTENANCE, run_id, Task("maintain", None, 1)))
    assert re.search(r"Vacuumed and analyzed \d+ tables", log)
    assert "Dropped 0 partitions of raw" in log
    assert "Airflow's database holds the runs of 90 days" in log
    assert not old.exists()


@pytest.mark.long
def test_the_clock_starts_the_daily_run(stack: Stack, pipeline: Pipeline, api: AirflowApi) -> None:
    """The scheduler's next run is moved to now, as if it were half past midnight."""
    day = FOUNDED + timedelta(days=3)
    logical = datetime(day.year, day.month, day.day, 0, 30, tzinfo=UTC)
    with psycopg.connect(stack.settings.admin_dsn("airflow"), autocommit=True) as metadata:
        metadata.execute(
            "update dag set next_dagrun = %(at)s, next_dagrun_data_interval_start = %(at)s,"
            " next_dagrun_data_interval_end = %(end)s, next_dagrun_create_after = now()"
            " where dag_id = %(dag)s",
            {"at": logical, "end": logical + timedelta(days=1), "dag": PIPELINE},
        )

    def scheduled() -> list[str]:
        return [
            run["dag_run_id"] for run in runs_of(api, PIPELINE) if run["run_type"] == "scheduled"
        ]

    wait_until(lambda: bool(scheduled()), 60)
    (run_id,) = scheduled()
    assert pipeline.finish(run_id)
    with connect(stack.settings, "owner") as warehouse:
        query = "select day from quality.pipeline_runs where run_id = %s"
        published = warehouse.execute(query, [f"{PIPELINE}/{run_id}"]).fetchall()
    assert published == [(day,)]


@pytest.mark.long
@pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason=f"needs Debian's package chromium, at {CHROMIUM}"
)
@pytest.mark.skipif(find_spec("playwright") is None, reason="needs the package playwright: uv sync")
def test_the_button_starts_a_run_and_the_grid_shows_each_model(
    stack: Stack, pipeline: Pipeline, api: AirflowApi, tmp_path: Path
) -> None:
    from playwright.sync_api import expect, sync_playwright

    before = {run["dag_run_id"] for run in runs_of(api, PIPELINE)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(airflow_url(stack.settings))
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill(stack.settings.secret("AIRFLOW_ADMIN_PASSWORD"))
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "login" not in url)
        page.goto(f"{airflow_url(stack.settings)}/dags/{PIPELINE}")
        page.get_by_test_id("trigger-dag-button").click()
        page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()
        wait_until(lambda: len(runs_of(api, PIPELINE)) > len(before), 60)
        (run_id,) = {run["dag_run_id"] for run in runs_of(api, PIPELINE)} - before
        assert pipeline.finish(run_id)
        page.goto(f"{airflow_url(stack.settings)}/dags/{PIPELINE}/runs/{run_id}")
        expect(page.get_by_test_id("task-dbt_build")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("staging.stg_users").first).to_be_visible(timeout=60_000)
        page.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "grid.png")))
        browser.close()
    assert set(pipeline.mirrors(run_id).values()) == {"success"}


@pytest.mark.long
def test_airflow_dags_test_runs_the_dag_without_scheduler_and_triggerer(stack: Stack) -> None:
    environment = shell_environment(stack.settings)
    done = stack.run(
        "-m", "airflow", "dags", "test", PIPELINE, str(YESTERDAY), environment=environment
    )
    assert "state=success" in done.stdout + done.stderr
    with connect(stack.settings, "owner") as warehouse:
        query = "select count(*) > 0 from quality.pipeline_runs where day = %s"
        assert warehouse.execute(query, [YESTERDAY]).fetchone() == (True,)


@pytest.mark.long
def test_concurrent_runs_double_nothing_and_lose_nothing(
    stack: Stack, pipeline: Pipeline, api: AirflowApi
) -> None:
    """One day runs twice at once, next to a backfill of it and the next day, in a new warehouse."""
    days = [FOUNDED, FOUNDED + timedelta(days=1)]
    warehouse = "side_by_side"
    runs = [pipeline.start(days[0], warehouse=warehouse) for _ in range(2)]
    api.backfill(PIPELINE, days[0], days[1], {"warehouse": warehouse})
    for run_id in runs:
        assert pipeline.finish(run_id)

    def is_backfilled() -> bool:
        states = {state for _, state in api.backfill_states(PIPELINE, *days).values()}
        return states == {"success"}

    wait_until(is_backfilled, 900)
    with connect(stack.settings, "owner", warehouse) as database:
        loads = database.execute(
            "select source, sum(rows_landed), count(distinct landed_on), count(*) from raw.loads"
            " where superseded_by is null group by source"
        ).fetchall()
        assert all(at == live for _, _, at, live in loads)
        for source, landed, _, _ in loads:
            assert database.execute(f"select count(*) from raw.{source}").fetchone() == (landed,)
        query = "select count(*) from pg_locks where not granted"
        assert database.execute(query).fetchone() == (0,)
    assert "deadlock detected" not in Layout(stack.root).log("postgres").read_text()
    assert contents(stack, warehouse) == contents(stack, built_by_hand(stack, "one_by_one", days))


@pytest.mark.long
def test_a_backfill_of_a_week_gives_the_rows_of_daily_builds(stack: Stack, api: AirflowApi) -> None:
    days = [FOUNDED + timedelta(days=n) for n in range(7)]
    done = stack.local(
        *("backfill", "--from", str(days[0]), "--to", str(days[-1])),
        environment={"WAREHOUSE_DB": "backfilled"},
    )
    assert all(f"{day}: success" in done.stdout for day in days)
    day_by_day = built_by_hand(stack, "day_by_day", days)
    assert contents(stack, "backfilled") == contents(stack, day_by_day)


def built_by_hand(stack: Stack, warehouse: str, days: list[date]) -> str:
    """Land and build each day by the command line, in order. Returns the warehouse."""
    for day in days:
        for command in ("data_gen.generate", "data_gen.land"):
            stack.run("-m", command, "--day", str(day), environment={"WAREHOUSE_DB": warehouse})
        build = (
            "-m",
            "saas_analytics",
            "dbt",
            "--quiet",
            "build",
            "--exclude-resource-type",
            "test",
            "unit_test",
        )
        stack.run(*build, environment={"WAREHOUSE_DB": warehouse})
    return warehouse
