"""What the tests of Airflow share: its API, and the model `probe` of the stack (tests/conftest.py), told what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.local.airflow import airflow_url
from infrastructure.local.airflow_api import AirflowApi, Task
from infrastructure.local.layout import PIPELINE
from infrastructure.warehouse import connect
from tests.conftest import Stack

Probe = Callable[[str], None]


@pytest.fixture(scope="session")
def api(stack: Stack) -> AirflowApi:
    return AirflowApi(airflow_url(stack.settings), stack.settings.secret("AIRFLOW_ADMIN_PASSWORD"))


@pytest.fixture
def probe(stack: Stack) -> Iterator[Probe]:
    """A function that makes the model `probe` run a body of PL/pgSQL. In it, `tries` counts the calls from 1."""

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
    """Runs of the pipeline for days that nobody else uses, and what became of them."""

    def __init__(self, stack: Stack, api: AirflowApi) -> None:
        self.stack = stack
        self.api = api
        self._day = datetime.now(UTC).date() - timedelta(days=9)

    def start(self) -> str:
        """Trigger a run of a day that has landed before, so that it costs little; its id."""
        return self.api.trigger(PIPELINE, self._day, {})

    def finish(self, run_id: str, seconds: float = 500) -> bool:
        told: list[str] = []
        return self.api.wait(PIPELINE, run_id, told.append, seconds)

    def task(self, run_id: str, task_id: str) -> Task:
        return next(task for task in self.api.tasks(PIPELINE, run_id) if task.task_id == task_id)

    def mirrors(self, run_id: str) -> dict[str, str | None]:
        tasks = self.api.tasks(PIPELINE, run_id)
        return {task.task_id.rpartition(".")[2]: task.state for task in tasks if not task.is_step}

    def started_nodes(self, run_id: str, try_number: int) -> set[str]:
        """The models that dbt began to build in one try, by the log of the task."""
        log = self.api.task_log(PIPELINE, run_id, Task("dbt_build", None, try_number))
        begun = (re.search(r"START sql \w+ model \w+\.(\w+)", line) for line in log)
        return {match.group(1) for match in begun if match}


@pytest.fixture(scope="session")
def pipeline(stack: Stack, api: AirflowApi) -> Pipeline:
    return Pipeline(stack, api)
