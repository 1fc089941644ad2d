"""The tasks of this project's DAGs: its command lines and dbt, run in the task's own process."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, date, timedelta
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

from dbt_mirrors import DbtBuild
from deadlines import RunIsMade
from infrastructure.alerts import raise_alert, settle_alert
from infrastructure.changed_marts import changed_marts, note_told
from infrastructure.failing_rows import failures, masked_text
from infrastructure.lineage import PARENT
from infrastructure.settings import Settings, load_settings
from infrastructure.transform import built_by, fingerprint, record_build, run_dbt
from infrastructure.warehouse import WarehouseError

_STACKS_WAREHOUSE = load_settings().database  # read before a run names another one
MARTS = AssetAlias("marts")  # stands for the assets marts.<name>
DBT_NODES = "dbt-nodes"  # where the page of dbt_nodes_page.py lies in Airflow


class DbtNodesLink(BaseOperatorLink):  # type: ignore[misc]
    """From a task that runs dbt to the page with the nodes of its run."""

    name = "dbt nodes"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        return nodes_url(ti_key.dag_id, ti_key.run_id)


def nodes_url(dag_id: str, run_id: str) -> str:
    """The page with the dbt nodes of a run."""
    return f"{_base_url()}/{DBT_NODES}/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def run_url(dag_id: str, run_id: str) -> str:
    """The page of a run."""
    return f"{_base_url()}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def _base_url() -> str:
    return str(conf.get("api", "base_url")).rstrip("/")


class Command(BaseOperator):  # type: ignore[misc]
    """Runs `python -m MODULE ARGUMENTS` as a call of the module's `main`, which saves the start of another Python."""

    template_fields = ("arguments",)
    ui_color = "#e8f7e4"

    def __init__(self, *, module: str, arguments: str = "", only_with: str | None = None, **kwargs: Any) -> None:
        """`only_with` names a switch of `Settings`; where it is off, the task is skipped."""
        super().__init__(**kwargs)
        self.module = module
        self.arguments = arguments
        self.only_with = only_with

    def execute(self, context: Any) -> None:
        settings = enter_warehouse(context)
        if self.only_with and not getattr(settings, self.only_with):
            raise AirflowSkipException(f"{self.only_with} is off in {settings.root / '.env'}")
        print(f"python -m {self.module} {self.arguments}", flush=True)
        code = importlib.import_module(self.module).main(shlex.split(self.arguments))
        sys.stdout.flush()
        if code:
            raise AirflowException(f"{self.module} ended with exit code {code}; the lines above say why")

    def on_kill(self) -> None:
        raise KeyboardInterrupt  # in the thread that runs `main`, as a Ctrl-C at the command line does


class WarehouseBuild(DbtBuild):
    """dbt build through `infrastructure.transform`, which is what `make dbt-build` runs.

    A run of a backfill, and one that is `frugal`, builds nothing where another run has built what has landed. For each
    mart whose rows have changed it makes an event of the asset `marts.<name>`, which DAGs can be scheduled on.
    """

    operator_extra_links = (DbtNodesLink(),)

    def __init__(self, *, frugal: bool = False, **kwargs: Any) -> None:
        super().__init__(outlets=[MARTS], on_success_callback=tell_built, **kwargs)
        self.frugal = frugal
        self.changed_marts: dict[str, int] = {}  # in the process that has built them

    def invoke(self, context: Mapping[str, Any], arguments: list[str], callbacks: list[Any]) -> Any:
        from airflow.providers.openlineage.plugins.macros import lineage_parent_id  # much, and for this process alone

        os.environ[PARENT] = lineage_parent_id(context["ti"])
        return run_dbt(enter_warehouse(context), arguments, callbacks)

    def fingerprint(self, context: Mapping[str, Any]) -> str:
        return fingerprint(enter_warehouse(context))

    def already_built(self, context: Mapping[str, Any], fingerprint: str) -> str | None:
        if not self.frugal and context["dag_run"].run_type != "backfill":
            return None
        builder = built_by(enter_warehouse(context), fingerprint)
        return f"Nothing has landed since run {builder} built every model." if builder else None

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
    """A task's `on_failure_callback`, which Airflow calls after the last try."""
    task, settings = context["ti"], enter_warehouse(context)
    reason = masked_text(str(context.get("exception") or "its process ended; the task's log may say why"))
    try:
        failed = failures(settings, context["run_id"])
    except (WarehouseError, psycopg.Error) as error:
        failed = [str(error)]
    link = nodes_url(task.dag_id, context["run_id"]) if failed else task.log_url
    text = "\n".join([f"{_about(context)}, try {task.try_number}: {reason}", *failed])
    raise_alert(settings, f"{task.dag_id}.{task.task_id}", text, link)


def tell_success(context: Mapping[str, Any]) -> None:
    """A task's `on_success_callback`: where its last failure was told, so is this."""
    task = context["ti"]
    settle_alert(enter_warehouse(context), f"{task.dag_id}.{task.task_id}", f"{_about(context)} has succeeded.")


def tell_built(context: Mapping[str, Any]) -> None:
    """The `on_success_callback` of a build: Airflow has its events by now."""
    tell_success(context)
    if marts := context["task"].changed_marts:
        note_told(enter_warehouse(context), marts)


def _about(context: Mapping[str, Any]) -> str:
    day = f"Day {day_of_run(context['dag_run'])}, run" if "day" in context["params"] else "Run"
    return f"{day} {context['run_id']}, task {context['ti'].task_id}"


def deadline(settings: Settings) -> DeadlineAlert | None:
    """The deadline of the pipeline by its setting: a run that still goes on then is told, once until one ends."""
    minutes = timedelta(minutes=settings.pipeline_deadline_minutes)
    callback = SyncCallback(tell_missed_deadline)
    return DeadlineAlert(RunIsMade(), minutes, callback) if minutes else None


def tell_missed_deadline(context: Mapping[str, Any]) -> None:
    """Airflow's callback of a deadline. `context` has the run as the REST API gives it, and the deadline."""
    run = context["dag_run"]
    if run["state"] not in ("queued", "running"):
        return  # Airflow forgets the deadlines of runs that succeed; a failure has been told as one
    conf_of_run = run["conf"] or {}
    if conf_of_run.get("warehouse"):
        os.environ["WAREHOUSE_DB"] = conf_of_run["warehouse"]
    day = f"Day {conf_of_run['day']}, run" if conf_of_run.get("day") else "Run"
    text = f"{day} {run['dag_run_id']} was to end by {context['deadline']['deadline_time']}, and goes on."
    raise_alert(load_settings(), f"{run['dag_id']} is late", text, run_url(run["dag_id"], run["dag_run_id"]))


def tell_end(context: Mapping[str, Any]) -> None:
    """The `on_success_callback` of a run's last task: where a missed deadline was told, so is this."""
    tell_success(context)
    settle_alert(enter_warehouse(context), f"{context['ti'].dag_id} is late", f"{_about(context)} has ended.")


def enter_warehouse(context: Mapping[str, Any]) -> Settings:
    """The settings of the run's warehouse. The environment of this process names it and the run from here on.

    It is `warehouse` of the run's configuration, otherwise the stack's own.
    """
    if warehouse := context["params"].get("warehouse"):
        os.environ["WAREHOUSE_DB"] = warehouse
    os.environ["PIPELINE_RUN_ID"] = context["run_id"]
    os.environ["PIPELINE_RUN_URL"] = run_url(context["dag_run"].dag_id, context["run_id"])
    return load_settings()
