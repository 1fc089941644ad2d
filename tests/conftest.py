"""What tests of several folders share. Nothing of it touches the developer's own stack.

`postgres` is a server on a free port in a temporary directory, `warehouse` a fresh warehouse in it for one test.
`stack` is the whole embedded stack, Airflow included, of a copy of this project.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import pytest
from filelock import FileLock
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from saas_analytics.layout import Layout
from saas_analytics.settings import KEYS, PROJECT_ROOT, Settings, load_settings
from saas_analytics.stack import supervision
from saas_analytics.stack.dotenv import set_value
from saas_analytics.warehouse import ensure_warehouse
from tests.receivers import hook
from tests.server import drop_database, running_server
from tests.waiting import patience

NOTHING: Mapping[str, str] = MappingProxyType({})


# The fixture `stack` is used by these files: in another process they would start one more. There are two of them.
SMALL_STACK = "tests/airflow/orchestration/"
STACK_IS_SHARED = (
    *(f"tests/airflow/test_{name}.py" for name in ("kills", "pipeline", "runs")),
    *("tests/documentation/", "tests/integration/test_local_stack.py"),
)
# In this folder a test has all it needs to itself, and may take as long as a file elsewhere.
TESTS_ARE_FREE = "tests/warehouse/"


def group_of(nodeid: str) -> str:
    """What tests are in the same group: `make test` runs them in the same process, one after the other."""
    if nodeid.startswith(SMALL_STACK):
        return "small stack"
    if nodeid.startswith(STACK_IS_SHARED):
        return "stack"
    return nodeid if nodeid.startswith(TESTS_ARE_FREE) else nodeid.partition("::")[0]


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler:
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") or item.get_closest_marker("compose"):
            item.add_marker(pytest.mark.timeout(3600))
        if "LONG" not in os.environ and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: make test-long runs it"))
        if "COMPOSE" not in os.environ and item.get_closest_marker("compose"):
            item.add_marker(pytest.mark.skip(reason="needs a Docker engine: make test-compose runs it"))


# Processor time of the stacks of this process, in seconds: their supervisors are children of none of ours.
USED_BY_STACKS: list[float] = []
RUNNING: list[Stack] = []
_BEGUN = time.monotonic()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["used_by_stacks"] = sum(USED_BY_STACKS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    USED_BY_STACKS.append(getattr(node, "workeroutput", {}).get("used_by_stacks", 0.0))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What the run cost, so that growth is seen. Its slowest tests are below."""
    if hasattr(config, "workerinput"):
        return
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ours, stacks = sum(one.ru_utime + one.ru_stime for one in used), sum(USED_BY_STACKS)
    terminalreporter.write_line(
        f"Wall time {time.monotonic() - _BEGUN:.0f} s, processor time {ours + stacks:.0f} s"
        f" ({stacks:.0f} s of them in stacks)."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A stack ends with the last test of its group: it takes an eighth of a core where nobody asks anything of it."""
    yield
    if nextitem is None or group_of(item.nodeid) != group_of(nextitem.nodeid):
        for stack in list(RUNNING):
            end(stack)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer() -> None:
    """A test gets its settings from its fixtures, and not from the shell that started it."""
    for key in KEYS:
        os.environ.pop(key, None)
    os.environ["PYTHON_DOTENV_DISABLED"] = (
        "1"  # tests read dbt by themselves; see saas_analytics/pipeline/dbt_process.py
    )


@pytest.fixture(scope="session")
def postgres(_no_settings_of_the_developer: None) -> Iterator[Settings]:
    """Settings of a running server with all roles. Its warehouses are made by the fixture `warehouse`."""
    with running_server(shared_buffers="256MB") as settings:
        yield settings


@pytest.fixture
def warehouse(postgres: Settings, tmp_path: Path, worker_id: str) -> Iterator[Settings]:
    """Settings of a fresh warehouse and an empty landing zone, for one test.

    Those of a process are all called the same: what dbt has parsed for one is good for the next. Another process has
    another name, as dbt writes into a folder of the project that has it.
    """
    settings = replace(postgres, database=f"test_{worker_id}", landing_zone=tmp_path / "raw")
    ensure_warehouse(settings)
    yield settings
    drop_database(settings, settings.database)


@pytest.fixture
def another_start(warehouse: Settings) -> Callable[[], Settings]:
    """A function that makes the test's warehouse and landing zone empty again, under the same name."""

    def start() -> Settings:
        drop_database(warehouse, warehouse.database)
        shutil.rmtree(warehouse.landing_zone, ignore_errors=True)
        ensure_warehouse(warehouse)
        return warehouse

    return start


@pytest.fixture
def new_warehouse(postgres: Settings, tmp_path: Path, worker_id: str) -> Iterator[Callable[[], Settings]]:
    """A function that makes one more fresh warehouse for a test that compares several."""
    made: list[Settings] = []

    def make() -> Settings:
        name = f"test_{worker_id}_{len(made) + 2}"
        settings = replace(postgres, database=name, landing_zone=tmp_path / name)
        ensure_warehouse(settings)
        made.append(settings)
        return settings

    yield make
    for settings in made:
        drop_database(settings, settings.database)


@pytest.fixture(scope="session")
def project_manifest(_no_settings_of_the_developer: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt's manifest of the project, which needs no database. It takes ten seconds: one process makes it for all."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    target, project = shared / "dbt_parse", str(PROJECT_ROOT / "dbt")
    with FileLock(shared / "dbt_parse.lock"):
        if not (target / "manifest.json").exists():
            address = {"HOST": "127.0.0.1", "PORT": "1", "DB": "none", "TRANSFORMER_PASSWORD": "none"}
            places = {"PROJECT_DIR": project, "PROFILES_DIR": project, "TARGET_PATH": target, "LOG_PATH": target}
            done = subprocess.run(
                [Path(sys.executable).with_name("dbt"), "--quiet", "parse"],
                env={
                    **os.environ,
                    **{f"WAREHOUSE_{key}": value for key, value in address.items()},
                    **{f"DBT_{key}": str(value) for key, value in places.items()},
                },
                capture_output=True,
                text=True,
                timeout=patience(300),
            )
            assert done.returncode == 0, done.stdout
    return target / "manifest.json"


class Stack:
    """A copy of the project with a small company, and the commands of its stack: `local`, or in containers `docker`.

    `told` has its alerts, where a test hears them.
    """

    def __init__(self, root: Path, kind: str) -> None:
        self.root = root
        self.told: list[str] = []
        inherited = ("AIRFLOW", "WAREHOUSE_", "PG", "DBT_", "MAKE", "MFLAGS", "STACK", "SQL", *KEYS)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(inherited)}
        self.environment["STACK"] = kind

    def run(
        self, *command: str, check: bool = True, environment: Mapping[str, str] = NOTHING
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, as a shell would; its output is shown where it fails."""
        done = subprocess.run(
            [str(self.root / ".venv/bin/python"), *command],
            cwd=self.root,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience(900),
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def local(
        self, *command: str, check: bool = True, environment: Mapping[str, str] = NOTHING
    ) -> subprocess.CompletedProcess[str]:
        """One of the stack's commands: up, down, status, ..."""
        return self.run("-m", "saas_analytics.stack", *command, check=check, environment=environment)

    @property
    def settings(self) -> Settings:
        return load_settings(self.root, env={})


@contextmanager
def copy_of_project(kind: str) -> Iterator[Stack]:
    """A copy of this project, with a small company and a stack of this kind that is not up yet; removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="saas-analytics-stack-"))
    root.chmod(0o755)
    for name in (".ci", "airflow", "data_gen", "dbt", "docs", "infrastructure", "tests"):
        shutil.copytree(
            PROJECT_ROOT / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", "target", "logs", ".venv"),
            symlinks=True,
        )
    files = (".dockerignore", ".env.template", "docker-compose.yml", "deploy.sh", "pyproject.toml", "uv.lock")
    for name in (*files, "LICENSE", "Makefile", *(path.name for path in PROJECT_ROOT.glob("*.md"))):
        shutil.copy2(PROJECT_ROOT / name, root / name)
    (root / ".venv").symlink_to(sys.prefix)
    stack = Stack(root, kind)
    try:
        stack.local("env")  # makes .env
        set_value(root, "COMPANY_SCALE", "0.05")
        set_value(root, "COMPANY_FOUNDED", (datetime.now(UTC).date() - timedelta(days=10)).isoformat())
        yield stack
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def new_stack(change: Callable[[Path], None] | None = None) -> Iterator[Stack]:
    """An embedded stack of a copy of this project; up, and removed at the end. `change` is made in the copy before."""
    with copy_of_project("local") as stack, hook() as receiver:
        if change:
            change(stack.root)
        _add_probe(stack.root)
        set_value(stack.root, "SLACK_WEBHOOK_URL", f"http://127.0.0.1:{receiver.server_port}/hook")
        stack.told = receiver.got
        RUNNING.append(stack)
        try:
            stack.local("up")
            yield stack
        finally:
            end(stack)


def end(stack: Stack) -> None:
    """Take the stack down, where that has not been done, and keep what it has cost."""
    if stack in RUNNING:
        RUNNING.remove(stack)
        USED_BY_STACKS.append(_processor_time(stack))
        stack.local("down", check=False)


def _processor_time(stack: Stack) -> float:
    """Of the processes that run in the stack, and of those that have ended in them."""
    supervisor = supervision.supervisord_process(Layout(stack.root))
    if supervisor is None:
        return 0.0
    used = 0.0
    for process in [supervisor, *supervisor.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            used += sum(process.cpu_times()[:4])
    return used


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack that is up. A test that takes it down brings it up again."""
    with new_stack() as stack:
        yield stack


def _add_probe(root: Path) -> None:
    """Give the copy's project a model that does what a test wants of it, and its pipeline a short pause before a retry.

    The model is what the function public.probe() of its warehouse says, where a test has made one; otherwise 1. A test
    of the data fails unless it is 1, and calls public.probe_test(), where there is one. Another model follows it.
    """
    models = root / "dbt/models/marts/probe"
    models.mkdir()
    (models / "probe.sql").write_text(
        """
        {{ config(materialized="table") }}
        {%- set made = execute and run_query("select to_regprocedure('public.probe()') is not null").rows[0][0] %}
        select {{ "public.probe()" if made else "1" }} as n
        """
    )
    (models / "after_probe.sql").write_text("{{ config(materialized='table') }} select n from {{ ref('probe') }}")
    (root / "dbt/tests/probe_is_one.sql").write_text(
        """
        {%- set made = execute and run_query("select to_regprocedure('public.probe_test()') is not null").rows[0][0] %}
        select n from {{ ref('probe') }} where n <> {{ "public.probe_test()" if made else "1" }}
        """
    )
    dag = root / "airflow/dags/saas_analytics_pipeline.py"
    text = dag.read_text()
    assert '"retry_delay": timedelta(seconds=30)' in text
    dag.write_text(text.replace('"retry_delay": timedelta(seconds=30)', '"retry_delay": timedelta(seconds=1)'))
