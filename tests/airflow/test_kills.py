"""kill -9 of each part of the stack, at three moments of a run: the run still succeeds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psutil
import psycopg
import pytest

from saas_analytics.landing.execution import prepare
from saas_analytics.layout import Layout
from saas_analytics.settings import Settings
from saas_analytics.stack import supervision
from saas_analytics.stack.postgres import postmaster
from saas_analytics.warehouse import connect, ensure_warehouse
from tests.airflow.conftest import Pipeline, contents
from tests.conftest import Stack
from tests.waiting import wait_until

# dbt is killed every time in test_transform.py.
pytestmark = [pytest.mark.long]

VICTIMS = ("scheduler", "supervisor of the task", "process of the task", "back end", "postgres")
MOMENTS = ("in a landing", "in a model", "in a test")
# Each case that lands or builds something has its own day; the tests of the models run on any day.
FOUNDED = datetime.now(UTC).date() - timedelta(days=10)
CASES = [
    pytest.param(
        moment, victim, FOUNDED + timedelta(days=min(5 * row + column, 9)), id=f"{victim} {moment}"
    )
    for row, moment in enumerate(MOMENTS)
    for column, victim in enumerate(VICTIMS)
]


@pytest.fixture(scope="module")
def killed(stack: Stack) -> Settings:
    """A warehouse that only these runs use."""
    settings = replace(stack.settings, database="killed")
    ensure_warehouse(settings)
    prepare(settings)
    return settings


@pytest.mark.parametrize(("moment", "victim", "day"), CASES)
def test_a_run_survives_a_kill(
    pipeline: Pipeline, stack: Stack, killed: Settings, moment: str, victim: str, day: date
) -> None:
    with stopped_at(moment, killed) as backend:
        run_id = pipeline.start(day, warehouse=killed.database)
        wait_until(lambda: backend() is not None, 600)
        kill(stack, victim, backend() or 0)
    assert pipeline.finish(run_id)
    assert set(pipeline.mirrors(run_id).values()) == {"success"}
    assert all(
        program.state == supervision.RUNNING for program in supervision.programs(Layout(stack.root))
    )


def test_these_runs_leave_the_same_rows_as_undisturbed_ones(stack: Stack, killed: Settings) -> None:
    with connect(killed, "owner") as warehouse:
        days = [
            day
            for (day,) in warehouse.execute("select distinct landed_on from raw.loads order by 1")
        ]
    assert days, "only together with the tests before it"
    for day in days:
        stack.run(
            "-m", "data_gen.land", "--day", str(day), environment={"WAREHOUSE_DB": "undisturbed"}
        )
    stack.run(
        *("-m", "saas_analytics", "dbt", "--quiet", "build"),
        environment={"WAREHOUSE_DB": "undisturbed"},
    )
    assert contents(stack, killed.database) == contents(stack, "undisturbed")


@contextmanager
def stopped_at(moment: str, settings: Settings) -> Iterator[Callable[[], int | None]]:
    """Stop runs at this moment while the context is open.

    Gives a function that returns the pid of the waiting back end, or None.
    """
    probe = {"in a model": "probe", "in a test": "probe_test"}.get(moment)
    with psycopg.connect(settings.admin_dsn(settings.database), autocommit=True) as watcher:

        def waiting() -> int | None:
            condition = "wait_event_type = 'Lock' and usename = 'loader'"
            if probe:
                condition = "wait_event = 'PgSleep'"
            query = (
                "select pid from pg_stat_activity"
                f" where datname = current_database() and {condition}"
            )
            row = watcher.execute(query).fetchone()
            return row[0] if row else None

        blocker = psycopg.connect(settings.dsn("owner"))
        if probe:
            hangs = "begin perform pg_sleep(3600); return 1; end"
            blocker.execute(
                f"create or replace function public.{probe}() returns int"
                f" language plpgsql security definer as $$ {hangs} $$"
            )
            blocker.commit()
        else:
            blocker.execute("lock table raw.events in access exclusive mode")
        try:
            yield waiting
        finally:
            with suppress(psycopg.OperationalError):  # it may have been killed too
                blocker.rollback()
            blocker.close()
            if probe:
                wait_until(lambda: _dropped(settings, probe), 60)


def _dropped(settings: Settings, probe: str) -> bool:
    try:
        with psycopg.connect(settings.dsn("owner")) as warehouse:
            warehouse.execute(f"drop function public.{probe}()")
        return True
    except psycopg.OperationalError:  # the server is starting again
        return False


def kill(stack: Stack, victim: str, backend: int) -> None:
    layout = Layout(stack.root)
    if victim == "postgres":
        server = postmaster(layout.postgres.resolve() / "data")
        assert server is not None
        server.send_signal(signal.SIGQUIT)  # an immediate stop
        return
    programs = supervision.programs(layout)
    scheduler = psutil.Process(next(p.pid for p in programs if p.name == "airflow-scheduler"))
    if victim in ("back end", "scheduler"):
        os.kill(backend if victim == "back end" else scheduler.pid, signal.SIGKILL)
        return
    # The process of the previous task may still be ending.
    tasks: list[tuple[psutil.Process, psutil.Process]] = []

    def one_runs() -> bool:
        tasks[:] = _running_tasks(scheduler)
        return len(tasks) == 1

    wait_until(one_runs, 60)
    ((supervisor, task),) = tasks
    (supervisor if victim == "supervisor of the task" else task).kill()


def _running_tasks(scheduler: psutil.Process) -> list[tuple[psutil.Process, psutil.Process]]:
    """The supervisor of each running task, which Airflow's executor forks, and its process."""
    tasks = []
    for supervisor in scheduler.children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            tasks += [(supervisor, task) for task in supervisor.children()]
    return tasks
