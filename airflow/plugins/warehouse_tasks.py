"""The tasks of this project's DAGs: its commands and dbt, in the task's own process."""

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
from airflow.sdk import (  # type: ignore[attr-defined]  # its stub file lacks the deadlines
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
from saas_analytics.pipeline.build_log import (
    built_by,
    failed_by,
    fingerprint,
    record_build,
    record_failure,
)
from saas_analytics.pipeline.changed_marts import changed_marts, record_notified
from saas_analytics.pipeline.dbt_process import Outcome
from saas_analytics.pipeline.dbt_project import target_path
from saas_analytics.pipeline.lineage import PARENT
from saas_analytics.pipeline.masking import masked_text
from saas_analytics.pipeline.node_results import failures, passed
from saas_analytics.pipeline.transform import run_dbt
from saas_analytics.quality.alerts import (
    open_causes,
    raise_alert,
    raise_alerts,
    resolve_alert,
    resolve_alerts,
)
from saas_analytics.settings import Settings, load_settings
from saas_analytics.warehouse import WarehouseError

_STACKS_WAREHOUSE = load_settings().database  # read before a run names another one
MARTS = AssetAlias("marts")  # for the assets marts.<name>
DBT_NODES = "dbt-nodes"  # the path in Airflow of the page in dbt_nodes_page.py


class DbtNodesLink(BaseOperatorLink):  # type: ignore[misc]
    """A link from a dbt task to the page with the nodes of its run."""

    name = "dbt nodes"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        return nodes_url(ti_key.dag_id, ti_key.run_id)


def run_in_warehouse(dag_id: str, run_id: str) -> str:
    """The name of a run in the schema quality: two DAGs may have runs of the same name."""
    return f"{dag_id}/{run_id}"


def nodes_url(dag_id: str, run_id: str) -> str:
    """The URL of the page with the dbt nodes of a run."""
    return f"{_base_url()}/{DBT_NODES}/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def run_url(dag_id: str, run_id: str) -> str:
    """The URL of a run's page in Airflow."""
    return f"{_base_url()}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def _base_url() -> str:
    return str(conf.get("api", "base_url")).rstrip("/")


class Command(BaseOperator):  # type: ignore[misc]
    """Runs `analytics COMMAND` in the task's own process, which saves the start of a Python."""

    template_fields = ("command",)
    ui_color = "#e8f7e4"

    def __init__(self, *, command: str, only_with: str | None = None, **kwargs: Any) -> None:
        """`only_with` names a switch of `Settings`. If it is off, the task is skipped."""
        super().__init__(**kwargs)
        self.command = command
        self.only_with = only_with

    def execute(self, context: Any) -> None:
        from saas_analytics.cli import main  # DAG files import this module again and again

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
        raise KeyboardInterrupt  # in the thread that runs `main`, like a Ctrl-C in a shell


class WarehouseBuild(DbtBuild):
    """dbt build through `saas_analytics.pipeline.transform`, as `make dbt-build` runs it.

    A backfill's run, and one with `skip_unchanged`, builds nothing if another run has built
    everything that has landed. With `skip_unchanged` it is also skipped if it would fail as another
    run has failed. For each mart whose rows changed, a build emits an event of the asset
    `marts.<name>`, which can schedule DAGs.
    """

    operator_extra_links = (DbtNodesLink(),)

    def __init__(self, *, skip_unchanged: bool = False, **kwargs: Any) -> None:
        super().__init__(outlets=[MARTS], on_success_callback=notify_built, **kwargs)
        self.skip_unchanged = skip_unchanged
        self.changed_marts: dict[str, int] = {}  # set in the process that builds

    def invoke(
        self, context: Mapping[str, Any], arguments: list[str], listeners: list[Any]
    ) -> Outcome:
        # A large import, which only this process needs.
        from airflow.providers.openlineage.plugins.macros import lineage_parent_id

        os.environ[PARENT] = lineage_parent_id(context["ti"])
        return run_dbt(enter_warehouse(context), arguments, listeners)

    def fingerprint(self, context: Mapping[str, Any]) -> str:
        return fingerprint(enter_warehouse(context))

    def manifest_of(self, context: Mapping[str, Any]) -> Path:
        return target_path(enter_warehouse(context)) / self.manifest.name

    def already_built(self, context: Mapping[str, Any], fingerprint: str) -> str | None:
        if not self.skip_unchanged and context["dag_run"].run_type != "backfill":
            return None
        settings = enter_warehouse(context)
        if builder := built_by(settings, fingerprint):
            return f"Nothing has landed since run {builder} built every model."
        if self.skip_unchanged and (failer := failed_by(settings, fingerprint)):
            raise AirflowSkipException(
                f"Nothing has landed since the build of run {failer} failed, so this build would "
                "fail too. The log of that run says why. Clear this task to build anyway."
            )
        return None

    def failed(self, context: Mapping[str, Any], fingerprint: str, error: BuildFailed) -> None:
        try:
            lasts = isinstance(error, TestsFailed)
            record_failure(enter_warehouse(context), fingerprint, lasts=lasts)
        except (WarehouseError, psycopg.Error) as unknown:  # may be why the build failed
            print(f"The failure is not in quality.failed_build: {unknown}", file=sys.stderr)

    def redact(self, text: str) -> str:
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
    """The day that a run processes.

    It is `day` of the run's configuration, otherwise its logical date, otherwise the day before its
    start. Without a configuration it is never a day that is not over.
    """
    if (run.conf or {}).get("day"):
        return date.fromisoformat(run.conf["day"])
    yesterday: date = run.run_after.astimezone(UTC).date() - timedelta(days=1)
    logical: date = run.logical_date.astimezone(UTC).date() if run.logical_date else yesterday
    return min(logical, yesterday)


def notify_failure(context: Mapping[str, Any]) -> None:
    """A task's `on_failure_callback`.

    Airflow calls it after the last try, usually in the task's process.
    """
    task = context["ti"]
    reason = str(context.get("exception") or _KILLED)
    reason = f", try {task.try_number}: {reason}"
    _notify_failed_task(context, context["task"], reason, task.log_url)
    # For some tasks that were killed, the dag-processor calls this. It cannot push an XCom.
    if sys.argv[1:2] != ["dag-processor"]:
        task.xcom_push(_NOTIFIED, True)  # until the task runs again


def notify_failed_run(context: Mapping[str, Any]) -> None:
    """A DAG's `on_failure_callback`: alerts of failed tasks whose own callback did not run.

    A process that is killed on its last try calls nothing. The dag-processor calls this.
    """
    # Large imports, which that process has made already.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    notify_ended_run(context)
    dag, run = context["dag"], context["dag_run"]
    found = RuntimeTaskInstance.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    states = found[run.run_id]
    failed = [task_id for task_id, state in states.items() if state == "failed"]
    for task_id in sorted(task_id for task_id in failed if dag.has_task(task_id)):
        task = dag.get_task(task_id)
        if isinstance(task, DbtMirror):
            continue  # it shows a failure of the build
        names = {"dag_id": run.dag_id, "task_id": task_id, "run_id": run.run_id}
        if not XCom.get_one(key=_NOTIFIED, **names):
            link = run_url(run.dag_id, run.run_id)
            _notify_failed_task(context, task, f": {_KILLED}", link)


def _notify_failed_task(
    context: Mapping[str, Any], task: BaseOperator, reason: str, link: str
) -> None:
    """Send one message about the new causes: the failed nodes of a build, otherwise the task."""
    settings = enter_warehouse(context)
    title = f"{task.dag_id}.{task.task_id}"
    about = _about(context, task)
    run = run_in_warehouse(task.dag_id, context["run_id"])
    failed: dict[str, str] = {}
    if isinstance(task, WarehouseBuild):
        try:
            failed = failures(settings, run)
            nodes = passed(settings, run)
        except (WarehouseError, psycopg.Error) as error:
            reason = f"{reason}\n{error}"
        else:
            fixed = [
                cause
                for cause in open_causes(settings, _NODE)
                if cause.removeprefix(_NODE) in nodes
            ]
            resolve_alerts(settings, title, fixed, f"{about}: {', '.join(fixed)} passed.")
    causes = {f"{_NODE}{node}": text for node, text in failed.items()}
    causes = causes or {_cause(context, task): ""}
    link = nodes_url(task.dag_id, context["run_id"]) if failed else link
    raise_alerts(settings, title, causes, about + masked_text(reason), link)


def notify_success(context: Mapping[str, Any]) -> None:
    """A task's `on_success_callback`: resolves the alert of its last failure."""
    settings, task = enter_warehouse(context), context["task"]
    nodes = open_causes(settings, _NODE) if isinstance(task, WarehouseBuild) else []
    text = "\n".join([f"{_about(context, task)} succeeded.", *nodes])
    title = f"{task.dag_id}.{task.task_id}"
    resolve_alerts(settings, title, [_cause(context, task), *nodes], text)


def notify_built(context: Mapping[str, Any]) -> None:
    """The `on_success_callback` of a build. By now Airflow has its asset events."""
    notify_success(context)
    if marts := context["task"].changed_marts:
        record_notified(enter_warehouse(context), marts)


# The prefix of a cause that is a dbt node. Such a cause is the same for every run and DAG.
_NODE = "dbt "
_NOTIFIED = "failure_told"
_KILLED = "its process ended; the task's log may say why"


def _cause(context: Mapping[str, Any], task: BaseOperator) -> str:
    """The cause of a failed task, with its day: the success of another day resolves nothing.

    A build has no day, because it builds all days.
    """
    name = f"{task.dag_id}.{task.task_id}"
    is_of_day = "day" in context["params"] and not isinstance(task, WarehouseBuild)
    return f"{name}, day {day_of_run(context['dag_run'])}" if is_of_day else name


def _about(context: Mapping[str, Any], task: BaseOperator | None = None) -> str:
    day = f"Day {day_of_run(context['dag_run'])}, run" if "day" in context["params"] else "Run"
    return f"{day} {context['run_id']}" + (f", task {task.task_id}" if task else "")


def deadline(settings: Settings) -> DeadlineAlert | None:
    """The deadline of the pipeline, by its setting: a run that is late raises an alert."""
    if sys.argv[1:3] == ["dags", "test"]:
        return None  # Airflow 3.3 fails this command after the success of a run with a deadline
    minutes = timedelta(minutes=settings.pipeline_deadline_minutes)
    callback = SyncCallback(notify_missed_deadline)
    return DeadlineAlert(RunIsMade(), minutes, callback) if minutes else None


def notify_missed_deadline(context: Mapping[str, Any]) -> None:
    """Airflow's callback of a deadline.

    `context` has the run as in the REST API, and the deadline.
    """
    run = context["dag_run"]
    if run["state"] not in ("queued", "running"):
        return  # Airflow drops the deadlines of runs that succeed; a failed run has its own alert
    if run["run_type"] == "backfill":
        return  # all runs of a backfill are created at once, and wait for each other
    conf_of_run = run["conf"] or {}
    os.environ["WAREHOUSE_DB"] = conf_of_run.get("warehouse") or _STACKS_WAREHOUSE
    day = f"Day {conf_of_run['day']}, run" if conf_of_run.get("day") else "Run"
    due = context["deadline"]["deadline_time"]
    text = f"{day} {run['dag_run_id']} should have ended by {due}, and still runs."
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    title, link = f"{dag_id} is late", run_url(dag_id, run_id)
    raise_alert(load_settings(), f"{title}: {run_id}", text, link, title=title)


def notify_ended_run(context: Mapping[str, Any]) -> None:
    """A DAG's `on_success_callback`: resolves the alert that the run is late."""
    run = context["dag_run"]
    title = f"{run.dag_id} is late"
    text = f"{_about(context)} has ended."
    resolve_alert(enter_warehouse(context), f"{title}: {run.run_id}", text, title=title)


def enter_warehouse(context: Mapping[str, Any]) -> Settings:
    """The settings of the run's warehouse: `warehouse` of its configuration, or the stack's own.

    From here on the environment of this process names this warehouse and the run.
    """
    os.environ["WAREHOUSE_DB"] = context["params"].get("warehouse") or _STACKS_WAREHOUSE
    dag_id, run_id = context["dag_run"].dag_id, context["run_id"]
    os.environ["PIPELINE_RUN_ID"] = run_in_warehouse(dag_id, run_id)
    os.environ["PIPELINE_RUN_URL"] = run_url(dag_id, run_id)
    return load_settings()
