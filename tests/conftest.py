"""The fixtures of several test folders. None of them affects the developer's own stack.

`postgres` is a server on a free port in a temporary directory, `warehouse` a new warehouse on it
for one test. `stack` is the whole embedded stack of a copy of this project, with Airflow.
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
from saas_analytics.settings import PROJECT_ROOT, Settings, load_settings
from saas_analytics.settings_table import KEYS
from saas_analytics.stack import supervision
from saas_analytics.stack.dotenv import set_value
from saas_analytics.warehouse import ensure_warehouse
from tests.receivers import hook
from tests.server import drop_database, running_server
from tests.waiting import patience

NOTHING: Mapping[str, str] = MappingProxyType({})


# These files use the fixture `stack`. In different processes each would start its own, so those
# with the same stack are one group.
SMALL_STACK = "tests/airflow/orchestration/"
STACK_IS_SHARED = (
    *(f"tests/airflow/test_{name}.py" for name in ("kills", "pipeline", "runs")),
    *("tests/documentation/", "tests/integration/test_local_stack.py"),
)
# A test in this folder shares nothing with others, and may take as long as a file elsewhere.
TESTS_ARE_FREE = "tests/warehouse/"


def group_of(nodeid: str) -> str:
    """The group of a test. `make test` runs a group in one process, one test after the other."""
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
            item.add_marker(
                pytest.mark.skip(reason="needs a Docker engine: make test-compose runs it")
            )


# Processor time of this process's stacks, in seconds: their supervisors are not its children.
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
    """Print what the run cost, so that growth is visible. Its slowest tests follow."""
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
    """Stop a stack after the last test of its group: even idle it takes an eighth of a core."""
    yield
    if nextitem is None or group_of(item.nodeid) != group_of(nextitem.nodeid):
        for stack in list(RUNNING):
            end(stack)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer() -> None:
    """A test gets its settings from its fixtures, not from the shell that started it."""
    for key in KEYS:
        os.environ.pop(key, None)
    # Tests start dbt by themselves; see saas_analytics/pipeline/dbt_process.py.
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"


@pytest.fixture(scope="session")
def postgres(_no_settings_of_the_developer: None) -> Iterator[Settings]:
    """Settings of a running server with all roles. The fixture `warehouse` creates warehouses."""
    with running_server(shared_buffers="256MB") as settings:
        yield settings


@pytest.fixture
def warehouse(postgres: Settings, tmp_path: Path, worker_id: str) -> Iterator[Settings]:
    """Settings of a new warehouse and an empty landing zone, for one test.

    All warehouses of a process have the same name, so dbt can use what it parsed for the previous
    one. Each process has its own name, because dbt writes into a folder with that name.
    """
    settings = replace(postgres, database=f"test_{worker_id}", landing_zone=tmp_path / "raw")
    ensure_warehouse(settings)
    yield settings
    drop_database(settings, settings.database)


@pytest.fixture
def another_start(warehouse: Settings) -> Callable[[], Settings]:
    """A function that empties the test's warehouse and landing zone; their names stay the same."""

    def start() -> Settings:
        drop_database(warehouse, warehouse.database)
        shutil.rmtree(warehouse.landing_zone, ignore_errors=True)
        ensure_warehouse(warehouse)
        return warehouse

    return start


@pytest.fixture
def new_warehouse(
    postgres: Settings, tmp_path: Path, worker_id: str
) -> Iterator[Callable[[], Settings]]:
    """A function that creates one more new warehouse, for a test that compares several."""
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
def project_manifest(
    _no_settings_of_the_developer: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """dbt's manifest of the project, which needs no database.

    It takes ten seconds, so one process creates it for all.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    target, project = shared / "dbt_parse", str(PROJECT_ROOT / "dbt")
    with FileLock(shared / "dbt_parse.lock"):
        if not (target / "manifest.json").exists():
            address = {
                "HOST": "127.0.0.1",
                "PORT": "1",
                "DB": "none",
                "TRANSFORMER_PASSWORD": "none",
            }
            places = {
                "PROJECT_DIR": project,
                "PROFILES_DIR": project,
                "TARGET_PATH": target,
                "LOG_PATH": target,
            }
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
    """A copy of the project with a small company, and the commands of its stack.

    `kind` is `local`, or `docker` for containers. `alerts` has the texts of the alerts that the
    stack sent, if the test receives them.
    """

    def __init__(self, root: Path, kind: str) -> None:
        self.root = root
        self.alerts: list[str] = []
        inherited = ("AIRFLOW", "WAREHOUSE_", "PG", "DBT_", "MAKE", "MFLAGS", "STACK", "SQL", *KEYS)
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(inherited)
        }
        self.environment["STACK"] = kind

    def run(
        self, *command: str, check: bool = True, environment: Mapping[str, str] = NOTHING
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, as a shell would. A failure shows its output."""
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
        """Run one of the stack's commands: up, down, status, ..."""
        return self.run("-m", "saas_analytics", *command, check=check, environment=environment)

    @property
    def settings(self) -> Settings:
        return load_settings(self.root, env={})


@contextmanager
def copy_of_project(kind: str) -> Iterator[Stack]:
    """A copy of this project with a small company, removed at the end. Its stack is not up."""
    root = Path(tempfile.mkdtemp(prefix="saas-analytics-stack-"))
    root.chmod(0o755)
    for name in (
        *(".ci", "airflow", "data_gen", "dbt", "docs", "infrastructure", "saas_analytics", "tests"),
    ):
        shutil.copytree(
            PROJECT_ROOT / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", "target", "logs", ".venv"),
            symlinks=True,
        )
    files = (
        ".dockerignore",
        ".env.template",
        "docker-compose.yml",
        "deploy.sh",
        "pyproject.toml",
        "uv.lock",
    )
    for name in (*files, "LICENSE", "Makefile", *(path.name for path in PROJECT_ROOT.glob("*.md"))):
        shutil.copy2(PROJECT_ROOT / name, root / name)
    (root / ".venv").symlink_to(sys.prefix)
    stack = Stack(root, kind)
    try:
        stack.local("env")  # creates .env
        set_value(root, "COMPANY_SCALE", "0.05")
        set_value(
            root, "COMPANY_FOUNDED", (datetime.now(UTC).date() - timedelta(days=10)).isoformat()
        )
        yield stack
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def new_stack(change: Callable[[Path], None] | None = None) -> Iterator[Stack]:
    """The embedded stack of a copy of this project, up; removed at the end.

    `change` is applied to the copy first.
    """
    with copy_of_project("local") as stack, hook() as receiver:
        if change:
            change(stack.root)
        _add_probe(stack.root)
        set_value(stack.root, "SLACK_WEBHOOK_URL", f"http://127.0.0.1:{receiver.server_port}/hook")
        stack.alerts = receiver.got
        RUNNING.append(stack)
        try:
            stack.local("up")
            yield stack
        finally:
            end(stack)


def end(stack: Stack) -> None:
    """Stop the stack, unless it was stopped before, and record its processor time."""
    if stack in RUNNING:
        RUNNING.remove(stack)
        USED_BY_STACKS.append(_processor_time(stack))
        stack.local("down", check=False)


def _processor_time(stack: Stack) -> float:
    """The processor time of the stack's processes, including their ended children, in seconds."""
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
    """A stack that is up. A test that stops it starts it again."""
    with new_stack() as stack:
        yield stack


def _add_probe(root: Path) -> None:
    """Add models that a test controls to the copy, and shorten the pause before a retry.

    The model `probe` has the result of the function public.probe() if a test has created it,
    otherwise 1. Its data test fails unless that is 1, and calls public.probe_test() if that exists.
    The model `after_probe` reads it.
    """
    models = root / "dbt/models/marts/probe"
    models.mkdir()
    (models / "probe.sql").write_text(
        """
        {{ config(materialized="table") }}
        {%- set found = "select to_regprocedure('public.probe()') is not null" %}
        {%- set made = execute and run_query(found).rows[0][0] %}
        select {{ "public.probe()" if made else "1" }} as n
        """
    )
    (models / "after_probe.sql").write_text(
        "{{ config(materialized='table') }} select n from {{ ref('probe') }}"
    )
    (root / "dbt/tests/probe_is_one.sql").write_text(
        """
        {%- set found = "select to_regprocedure('public.probe_test()') is not null" %}
        {%- set made = execute and run_query(found).rows[0][0] %}
        select n from {{ ref('probe') }} where n <> {{ "public.probe_test()" if made else "1" }}
        """
    )
    dag = root / "airflow/dags/saas_analytics_pipeline.py"
    text = dag.read_text()
    assert '"retry_delay": timedelta(seconds=30)' in text
    dag.write_text(
        text.replace('"retry_delay": timedelta(seconds=30)', '"retry_delay": timedelta(seconds=1)')
    )
