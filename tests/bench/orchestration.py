"""The cost that Airflow adds to dbt: the pipeline against its commands by hand and against Cosmos.

The pipeline has a mirror for each model. All run in turn on the same stack and the same data, after
a first run of each that is not counted. Cosmos is astronomer-cosmos' watcher mode with this
project's dbt, if it is installed: `uv sync --group bench`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from statistics import median
from threading import Event

import psutil

from saas_analytics.layout import PIPELINE, Layout
from saas_analytics.stack import supervision
from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.airflow_api import AirflowApi, AirflowApiError
from saas_analytics.stack.environment import shell_environment
from tests.conftest import Stack, new_stack

DAY = datetime.now(UTC).date() - timedelta(days=1)
# The steps of the pipeline as commands.
BY_HAND = (
    ("-m", "saas_analytics", "generate", "--day", str(DAY)),
    ("-m", "saas_analytics", "land", "--day", str(DAY)),
    ("-m", "saas_analytics", "freshness"),
    ("-m", "saas_analytics", "dbt", "build", "--exclude-resource-type", "unit_test"),
    ("-m", "saas_analytics", "quality-report", "--day", str(DAY)),
    ("-m", "saas_analytics", "publish", "--day", str(DAY)),
)
COSMOS = "cosmos_watcher"
# Airflow only reads files with the words airflow and DAG: the second line has them.
_COSMOS_DAG = """
# A DAG of Airflow.
from cosmos import DbtDag, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, LoadMode

from saas_analytics.settings import load_settings
from saas_analytics.pipeline.dbt_project import dbt_environment, target_path

SETTINGS = load_settings()
DBT = SETTINGS.root / "dbt"
cosmos_watcher = DbtDag(
    dag_id="cosmos_watcher",
    schedule=None,
    is_paused_upon_creation=False,
    project_config=ProjectConfig(
        dbt_project_path=DBT,
        manifest_path=target_path(SETTINGS) / "manifest.json",
        env_vars=dbt_environment(SETTINGS),
        install_dbt_deps=False,
    ),
    profile_config=ProfileConfig(
        "warehouse", "warehouse", profiles_yml_filepath=DBT / "profiles.yml"
    ),
    execution_config=ExecutionConfig(execution_mode=ExecutionMode.WATCHER),
    render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST),
)
"""
# Prints the processor seconds of reading the DAG files after Airflow, as in the dag-processor.
_IMPORT = """
import pathlib, runpy, sys, time
import airflow.sdk
sys.path[:0] = ["airflow/plugins", "."]
begun = time.process_time()
for path in pathlib.Path("airflow/dags").glob("*.py"):
    runpy.run_path(str(path))
print(time.process_time() - begun)
"""


@dataclass(slots=True)
class Cost:
    """Seconds of wall time, and of all processors."""

    wall: float = 0.0
    cpu: float = 0.0


def measure(times: int = 3, idle_seconds: int = 60) -> list[tuple[str, str, str, str]]:
    """Rows of: what was measured, the result, the baseline, and the ratio."""
    with new_stack() as stack:
        layout = Layout(stack.root)
        api = AirflowApi(
            airflow_url(stack.settings), stack.settings.secret("AIRFLOW_ADMIN_PASSWORD")
        )
        _in_airflow(api, layout)
        _by_hand(stack, layout)
        rounds = [(_in_airflow(api, layout), _by_hand(stack, layout)) for _ in range(times)]
        imported = stack.run("-c", _IMPORT, environment=shell_environment(stack.settings))
        imports = float(imported.stdout.split()[-1])
        idle = _cpu(layout)
        time.sleep(idle_seconds)  # the work of the stack in this time is measured
        idle_share = (_cpu(layout) - idle) / idle_seconds
        whole, build = ([part[index] for part, _ in rounds] for index in (0, 1))
        hand, dbt = ([part[index] for _, part in rounds] for index in (0, 1))
        cosmos = _in_cosmos(stack, api, layout, times, dbt)
    return [
        _row("pipeline, trigger to end: wall", whole, "its commands by hand", hand, "wall"),
        _row(
            "pipeline, trigger to end: CPU, Airflow and all",
            whole,
            "its commands by hand",
            hand,
            "cpu",
        ),
        _row("task dbt_build: wall", build, "dbt build by hand", dbt, "wall"),
        *cosmos,
        ("DAG files, import: CPU", f"{imports:.2f} s", "", ""),
        ("stack without work: share of a processor", f"{idle_share:.1%}", "", ""),
    ]


def _row(
    what: str, measured: list[Cost], baseline: str, other: list[Cost], kind: str
) -> tuple[str, str, str, str]:
    ours, theirs = (median(getattr(cost, kind) for cost in costs) for costs in (measured, other))
    return what, f"{ours:.1f} s", f"{baseline}: {theirs:.1f} s", f"{ours / theirs:.2f}x"


def _in_airflow(api: AirflowApi, layout: Layout) -> tuple[Cost, Cost]:
    """A run of the pipeline, and its task dbt_build."""
    with _costs(layout) as whole:
        run_id = api.trigger(PIPELINE, DAY, {})
        if not api.wait(PIPELINE, run_id, lambda text: None, seconds=900):
            raise SystemExit(f"The run {run_id} failed: its log is in {layout.logs}")
    task = api.call("GET", f"/api/v2/dags/{PIPELINE}/dagRuns/{run_id}/taskInstances/dbt_build")
    return whole, Cost(wall=task["duration"])


def _in_cosmos(
    stack: Stack, api: AirflowApi, layout: Layout, times: int, dbt: list[Cost]
) -> list[tuple[str, str, str, str]]:
    """The cost of the same dbt project with Cosmos' watcher, a task for each model.

    The first run is not counted. A failure of Cosmos is reported, and the other results stay.
    """
    if not find_spec("cosmos"):
        return [("cosmos, watcher mode", "not installed: `make bench` does", "", "")]
    (stack.root / "airflow/dags/cosmos_watcher.py").write_text(_COSMOS_DAG)
    succeeded: list[Cost] = []
    failed: list[Cost] = []
    try:
        _wait_for_cosmos(api)
        for number in range(times + 1):
            with _costs(layout) as cost:
                run_id = api.call("POST", f"/api/v2/dags/{COSMOS}/dagRuns", {"logical_date": None})[
                    "dag_run_id"
                ]
                is_good = api.wait(COSMOS, run_id, lambda text: None, seconds=1800)
            if number:
                (succeeded if is_good else failed).append(cost)
            if not is_good:
                _print_failed_tasks(api, run_id)
    except AirflowApiError as error:
        print(f"Cosmos was not measured further: {error}", file=sys.stderr)
    rows = []
    if succeeded:
        rows.append(
            _row(
                "cosmos, watcher mode, dbt alone: wall", succeeded, "dbt build by hand", dbt, "wall"
            )
        )
    if failed or not succeeded:
        how_long = (
            f"the median of them after {median(cost.wall for cost in failed):.1f} s"
            if failed
            else ""
        )
        rows.append(
            (f"cosmos, watcher mode: {len(failed)} of {times} runs failed", how_long, "", "")
        )
    return rows


def _wait_for_cosmos(api: AirflowApi) -> None:
    patience = time.monotonic() + 180  # Airflow looks for new files every minute here
    while not api.knows(COSMOS):
        if errors := api.import_errors():
            raise AirflowApiError("\n".join(errors))
        if time.monotonic() > patience:
            raise AirflowApiError(f"Airflow has not found the DAG {COSMOS} in three minutes")
        Event().wait(1)


def _print_failed_tasks(api: AirflowApi, run_id: str) -> None:
    for task in api.tasks(COSMOS, run_id):
        if task.state == "failed":
            log = api.task_log(COSMOS, run_id, task)[-20:]
            print(f"{task.task_id} of {run_id} failed:", *log, sep="\n", file=sys.stderr)


def _by_hand(stack: Stack, layout: Layout) -> tuple[Cost, Cost]:
    """The cost of the same commands one after another, and of dbt alone."""
    build = Cost()
    with _costs(layout) as whole:
        for command in BY_HAND:
            with _costs(layout) as cost:
                stack.run(*command)
            if "build" in command:
                build = cost
    return whole, build


@contextmanager
def _costs(layout: Layout) -> Iterator[Cost]:
    """The cost of the block, in the stack's programs and in commands of this process."""
    cost, wall, cpu = Cost(), time.perf_counter(), _cpu(layout)
    yield cost
    cost.wall, cost.cpu = time.perf_counter() - wall, _cpu(layout) - cpu


def _cpu(layout: Layout) -> float:
    """The processor seconds of the stack's programs and of this process's children."""
    used = os.times().children_user + os.times().children_system
    for program in supervision.programs(layout):
        process = psutil.Process(program.pid)
        for each in (process, *process.children(recursive=True)):
            try:
                # Its own, and those of its ended children.
                used += sum(each.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
    return used
