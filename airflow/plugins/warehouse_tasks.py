"""The tasks of this project's DAGs: its command lines and dbt, run in the task's own process."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from airflow.sdk import (  # type: ignore[attr-defined]  # the stub file beside it knows no deadlines
    Asset,
    AssetAlias,
    BaseOperator,
    BaseOperatorLink,
    DeadlineAlert,
    SyncCallback,
)
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from dbt_mirrors import BuildFailed, DbtBuild, DbtMirror, TestsFailed
from deadlines import RunIsMade
from saas_analytics.pipeline.changed_marts import changed_marts, note_told
from saas_analytics.pipeline.dbt_process import Outcome
from saas_analytics.pipeline.failing_rows import failures, masked_text, passed
from saas_analytics.pipeline.lineage import PARENT
from saas_analytics.pipeline.transform import (
    built_by,
    failed_by,
    fingerprint,
    record_build,
    record_failure,
    run_dbt,
    target_path,
)
from saas_analytics.quality.alerts import (
    open_causes,
    raise_alert,
    raise_alerts,
    settle_alert,
    settle_alerts,
)
from saas_analytics.settings import Settings, load_settings
from saas_analytics.warehouse import WarehouseError

_STACKS_WAREHOUSE = load_settings().database  # read before a run names another one
MARTS = AssetAlias("marts")  # stands for the assets marts.<name>
DBT_NODES = "dbt-nodes"  # where the page of dbt_nodes_page.py lies in Airflow


class DbtNodesLink(BaseOperatorLink):  # type: ignore[misc]
    """From a task that runs dbt to the page with the nodes of its run."""

    name = "dbt nodes"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        return nodes_url(ti_key.dag_id, ti_key.run_id)


def run_in_warehouse(dag_id: str, run_id: str) -> str:
    """What the schema quality calls a run: two DAGs may have a run of the same name."""
    return f"{dag_id}/{run_id}"


def nodes_url(dag_id: str, run_id: str) -> str:
    """The page with the dbt nodes of a run."""
    return f"{_base_url()}/{DBT_NODES}/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def run_url(dag_id: str, run_id: str) -> str:
    """The page of a run."""
    return f"{_base_url()}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def _base_url() -> str:
    return str(conf.get("api", "base_url")).rstrip("/")


class Command(BaseOperator):  # type: ignore[misc]
    """Runs `analytics COMMAND` in the task's own process, which saves the start of another Python."""

    template_fields = ("command",)
    ui_color = "#e8f7e4"

    def __init__(self, *, command: str, only_with: str | None = None, **kwargs: Any) -> None:
        """`only_with` names a switch of `Settings`; where it is off, the task is skipped."""
        super().__init__(**kwargs)
        self.command = command
        self.only_with = only_with

    def execute(self, context: Any) -> None:
        from saas_analytics.cli import main  # DAG files import this module, over and over

        settings = enter_warehouse(context)
        if self.only_with and not getattr(settings, self.only_with):
            raise AirflowSkipException(f"{self.only_with} is off in {settings.root / '.env'}")
        print(f"analytics {self.command}", flush=True)
        code = main(shlex.split(self.command), here=True)
        sys.stdout.flush()
        if code:
            reason = f"`analytics {self.command}` ended with exit code {code}"
            raise AirflowException(f"{reason}; the lines above say why")

    def on_kill(self) -> None:
        raise KeyboardInterrupt  # in the thread that runs `main`, as a Ctrl-C at the command line does


class WarehouseBuild(DbtBuild):
    """dbt build through `saas_analytics.pipeline.transform`, which is what `make dbt-build` runs.

    A run of a backfill, and one that is `frugal`, builds nothing where another run has built what has landed; a frugal
    one is skipped where it would fail as another one has. For each mart whose rows have changed, a build makes an event
    of the asset `marts.<name>`, which DAGs can be scheduled on.
    """

    operator_extra_links = (DbtNodesLink(),)

    def __init__(self, *, frugal: bool = False, **kwargs: Any) -> None:
        super().__init__(outlets=[MARTS], on_success_callback=tell_built, **kwargs)
        self.frugal = frugal
        self.changed_marts: dict[str, int] = {}  # in the process that has built them

    def invoke(self, context: Mapping[str, Any], arguments: list[str], listeners: list[Any]) -> Outcome:
        from airflow.providers.openlineage.plugins.macros import (
            lineage_parent_id,  # much, and for this process alone
        )

        os.environ[PARENT] = lineage_parent_id(context["ti"])
        return run_dbt(enter_warehouse(context), arguments, listeners)

    def fingerprint(self, context: Mapping[str, Any]) -> str:
        return fingerprint(enter_warehouse(context))

    def manifest_of(self, context: Mapping[str, Any]) -> Path:
        return target_path(enter_warehouse(context)) / self.manifest.name

    def already_built(self, context: Mapping[str, Any], fingerprint: str) -> str | None:
        if not self.frugal and context["dag_run"].run_type != "backfill":
            return None
        settings = enter_warehouse(context)
        if builder := built_by(settings, fingerprint):
            return f"Nothing has landed since run {builder} built every model."
        if self.frugal and (failer := failed_by(settings, fingerprint)):
            raise AirflowSkipException(
                f"Nothing has landed since the build of run {failer} failed: it would fail again. Its log says why. "
                "Clear this task to build all the same."
            )
        return None

    def failed(self, context: Mapping[str, Any], fingerprint: str, error: BuildFailed) -> None:
        try:
            record_failure(enter_warehouse(context), fingerprint, lasts=isinstance(error, TestsFailed))
        except (WarehouseError, psycopg.Error) as unknown:  # it may be why the build failed
            print(f"The failure is not in quality.failed_build: {unknown}", file=sys.stderr)

    def message(self, text: str) -> str:
        return masked_text(text)

    def built(self, context: Mapping[str, Any], fingerprint: str) -> None:
        settings = enter_warehouse(context)
        record_build(settings, fingerprint)
        if settings.database != _STACKS_WAREHOUSE:
            return  # the assets are the marts of the stack's own warehouse
        self.changed_marts = changed_marts(settings)
        for mart, seq in self.changed_marts.items():
            context["outlet_events"][MARTS].add(Asset(f"marts.{mart}"), extra={"change": seq})


def day_of_run(run: Any) -> date:
    """The day that a run processes: `day` of its configuration, otherwise its logical date,
    otherwise the day before it was started. Without a configuration never a day that is not over yet.
    """
    if (run.conf or {}).get("day"):
        return date.fromisoformat(run.conf["day"])
    yesterday: date = run.run_after.astimezone(UTC).date() - timedelta(days=1)
    logical: date = run.logical_date.astimezone(UTC).date() if run.logical_date else yesterday
    return min(logical, yesterday)


def tell_failure(context: Mapping[str, Any]) -> None:
    """A task's `on_failure_callback`, which Airflow calls after the last try, in the task's process as a rule."""
    task = context["ti"]
    reason = str(context.get("exception") or _KILLED)
    _tell_failed_task(context, context["task"], f", try {task.try_number}: {reason}", task.log_url)
    if sys.argv[1:2] != ["dag-processor"]:  # which calls this for some tasks that were killed, and can push nothing
        task.xcom_push(_TOLD, True)  # until the task runs again


def tell_failed_run(context: Mapping[str, Any]) -> None:
    """A DAG's `on_failure_callback`, which the dag-processor calls: tells of the tasks that could not tell themselves.

    A process that is killed on its last try calls nothing.
    """
    # Much, and there already in that process.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    tell_ended_run(context)
    dag, run = context["dag"], context["dag_run"]
    states = RuntimeTaskInstance.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])[run.run_id]
    for task_id in sorted(task_id for task_id, state in states.items() if state == "failed" and dag.has_task(task_id)):
        task = dag.get_task(task_id)
        if isinstance(task, DbtMirror):
            continue  # it shows a failure of the build
        if not XCom.get_one(key=_TOLD, dag_id=run.dag_id, task_id=task_id, run_id=run.run_id):
            _tell_failed_task(context, task, f": {_KILLED}", run_url(run.dag_id, run.run_id))


def _tell_failed_task(context: Mapping[str, Any], task: BaseOperator, reason: str, link: str) -> None:
    """One message with the causes that are news: each failed node of a build, otherwise the task."""
    settings = enter_warehouse(context)
    title = f"{task.dag_id}.{task.task_id}"
    about = _about(context, task)
    run = run_in_warehouse(task.dag_id, context["run_id"])
    failed: dict[str, str] = {}
    if isinstance(task, WarehouseBuild):
        try:
            failed = failures(settings, run)
            well = passed(settings, run)
        except (WarehouseError, psycopg.Error) as error:
            reason = f"{reason}\n{error}"
        else:
            mended = [cause for cause in open_causes(settings, _NODE) if cause.removeprefix(_NODE) in well]
            settle_alerts(settings, title, mended, f"{about}: {', '.join(mended)} passed.")
    causes = {f"{_NODE}{node}": text for node, text in failed.items()} or {_cause(context, task): ""}
    link = nodes_url(task.dag_id, context["run_id"]) if failed else link
    raise_alerts(settings, title, causes, about + masked_text(reason), link)


def tell_success(context: Mapping[str, Any]) -> None:
    """A task's `on_success_callback`: where its last failure was told, so is this."""
    settings, task = enter_warehouse(context), context["task"]
    nodes = open_causes(settings, _NODE) if isinstance(task, WarehouseBuild) else []
    text = "\n".join([f"{_about(context, task)} has succeeded.", *nodes])
    settle_alerts(settings, f"{task.dag_id}.{task.task_id}", [_cause(context, task), *nodes], text)


def tell_built(context: Mapping[str, Any]) -> None:
    """The `on_success_callback` of a build: Airflow has its events by now."""
    tell_success(context)
    if marts := context["task"].changed_marts:
        note_told(enter_warehouse(context), marts)


_NODE = "dbt "  # what a cause that is a node of dbt begins with: it is the same for each run and DAG that meets it
_TOLD = "failure_told"
_KILLED = "its process ended; the task's log may say why"


def _cause(context: Mapping[str, Any], task: BaseOperator) -> str:
    """The cause that a task is: with its day, as another day's success mends nothing; a build is of all days."""
    name = f"{task.dag_id}.{task.task_id}"
    is_of_day = "day" in context["params"] and not isinstance(task, WarehouseBuild)
    return f"{name}, day {day_of_run(context['dag_run'])}" if is_of_day else name


def _about(context: Mapping[str, Any], task: BaseOperator | None = None) -> str:
    day = f"Day {day_of_run(context['dag_run'])}, run" if "day" in context["params"] else "Run"
    return f"{day} {context['run_id']}" + (f", task {task.task_id}" if task else "")


def deadline(settings: Settings) -> DeadlineAlert | None:
    """The deadline of the pipeline by its setting: a run that still goes on then is told."""
    if sys.argv[1:3] == ["dags", "test"]:
        return None  # Airflow 3.3 ends that command with an error when a run with a deadline has succeeded
    minutes = timedelta(minutes=settings.pipeline_deadline_minutes)
    callback = SyncCallback(tell_missed_deadline)
    return DeadlineAlert(RunIsMade(), minutes, callback) if minutes else None


def tell_missed_deadline(context: Mapping[str, Any]) -> None:
    """Airflow's callback of a deadline. `context` has the run as the REST API gives it, and the deadline."""
    run = context["dag_run"]
    if run["state"] not in ("queued", "running"):
        return  # Airflow forgets the deadlines of runs that succeed; a failure has been told as one
    if run["run_type"] == "backfill":
        return  # its runs are all made at once, and wait for each other
    conf_of_run = run["conf"] or {}
    os.environ["WAREHOUSE_DB"] = conf_of_run.get("warehouse") or _STACKS_WAREHOUSE
    day = f"Day {conf_of_run['day']}, run" if conf_of_run.get("day") else "Run"
    text = f"{day} {run['dag_run_id']} was to end by {context['deadline']['deadline_time']}, and goes on."
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    title = f"{dag_id} is late"
    raise_alert(load_settings(), f"{title}: {run_id}", text, run_url(dag_id, run_id), title=title)


def tell_ended_run(context: Mapping[str, Any]) -> None:
    """A DAG's `on_success_callback`: where it was told that the run is late, so is its end."""
    run = context["dag_run"]
    title = f"{run.dag_id} is late"
    settle_alert(enter_warehouse(context), f"{title}: {run.run_id}", f"{_about(context)} has ended.", title=title)


def enter_warehouse(context: Mapping[str, Any]) -> Settings:
    """The settings of the run's warehouse. The environment of this process names it and the run from here on.

    It is `warehouse` of the run's configuration, otherwise the stack's own.
    """
    os.environ["WAREHOUSE_DB"] = context["params"].get("warehouse") or _STACKS_WAREHOUSE
    dag_id, run_id = context["dag_run"].dag_id, context["run_id"]
    os.environ["PIPELINE_RUN_ID"] = run_in_warehouse(dag_id, run_id)
    os.environ["PIPELINE_RUN_URL"] = run_url(dag_id, run_id)
    return load_settings()
