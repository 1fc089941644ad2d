"""Shared by the tests of Airflow: its API, and control of the stack's model `probe`.

tests/conftest.py adds that model to the stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from saas_analytics.layout import PIPELINE
from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.airflow_api import AirflowApi, Task
from saas_analytics.warehouse import connect
from tests.conftest import Stack
from tests.waiting import patience

Probe = Callable[[str], None]


# For a module, not the session: the subfolder's modules have another stack.
@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    return AirflowApi(airflow_url(stack.settings), stack.settings.secret("AIRFLOW_ADMIN_PASSWORD"))


@pytest.fixture
def probe(stack: Stack) -> Iterator[Probe]:
    """A function that makes the model `probe` run a PL/pgSQL body.

    In the body, `tries` counts the calls from 1.
    """

    def make(body: str) -> None:
        with connect(stack.settings, "owner") as warehouse:
            warehouse.execute("create sequence public.probe_tries")
            warehouse.execute(
                f"""
                create function public.probe() returns int language plpgsql security definer as $$
                declare tries bigint := nextval('public.probe_tries');
                begin {body} end $$
                """
            )

    yield make
    with connect(stack.settings, "owner") as warehouse:
        warehouse.execute("drop function if exists public.probe()")
        warehouse.execute("drop sequence if exists public.probe_tries")


class Pipeline:
    """Runs of the pipeline for days that no other test uses, and their results."""

    def __init__(self, stack: Stack, api: AirflowApi) -> None:
        self.stack = stack
        self.api = api
        self._day = datetime.now(UTC).date() - timedelta(days=9)

    def start(self, day: date | None = None, **conf: str) -> str:
        """Trigger a run and return its id. The default day has landed, so it costs little."""
        return self.api.trigger(PIPELINE, day or self._day, conf)

    def finish(self, run_id: str, dag_id: str = PIPELINE) -> bool:
        """Wait for the end of the run while it makes progress. True if it succeeded."""
        return self.api.wait(dag_id, run_id, lambda change: None, patience(300))

    def ended_run(self) -> str:
        """The id of any run that succeeded."""
        query = f"/api/v2/dags/{PIPELINE}/dagRuns?state=success&limit=1"
        runs = self.api.call("GET", query)["dag_runs"]
        if runs:
            return str(runs[0]["dag_run_id"])
        run_id = self.start()
        assert self.finish(run_id)
        return run_id

    def task(self, run_id: str, task_id: str, dag_id: str = PIPELINE) -> Task:
        return next(task for task in self.api.tasks(dag_id, run_id) if task.task_id == task_id)

    def mirrors(self, run_id: str) -> dict[str, str | None]:
        tasks = self.api.tasks(PIPELINE, run_id)
        return {task.task_id.rpartition(".")[2]: task.state for task in tasks if not task.is_step}

    def started_nodes(self, run_id: str, try_number: int) -> set[str]:
        """The models that dbt started in one try, by the log of the task."""
        log = self.api.task_log(PIPELINE, run_id, Task("dbt_build", None, try_number))
        started = (re.search(r"START sql \w+ model \w+\.(\w+)", line) for line in log)
        return {match.group(1) for match in started if match}


def contents(stack: Stack, warehouse: str) -> dict[str, tuple[int, str]]:
    """The row count and digest of every table of core and marts, by table.

    Warehouses that are equal row for row give equal results.
    """
    with connect(stack.settings, "owner", warehouse) as database:
        tables = database.execute(
            "select relnamespace::regnamespace || '.' || relname from pg_class"
            " where relkind in ('r', 'p')"
            " and not relispartition and relnamespace::regnamespace::text in ('core', 'marts')"
        ).fetchall()
        found = {}
        for (table,) in tables:
            digest = (
                "select count(*), md5(coalesce(string_agg(md5(t::text), '' order by t::text), ''))"
                f" from {table} as t"
            )
            rows, digested = database.execute(digest).fetchall()[0]
            found[table] = (int(rows), str(digested))
    assert found
    return found


@pytest.fixture(scope="module")
def pipeline(stack: Stack, api: AirflowApi) -> Pipeline:
    return Pipeline(stack, api)
