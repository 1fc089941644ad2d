"""The tasks of this project's DAGs: its command lines and dbt, run in the task's own process."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from dbt_mirrors import DbtBuild
from infrastructure.alerts import raise_alert, settle_alert
from infrastructure.settings import Settings, load_settings
from infrastructure.transform import built_by, fingerprint, record_build, run_dbt

DBT_NODES = "dbt-nodes"  # where the page of dbt_nodes_page.py lies in Airflow


class DbtNodesLink(BaseOperatorLink):  # type: ignore[misc]
    """From a task that runs dbt to the page with the nodes of its run."""

    name = "dbt nodes"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        return nodes_url(ti_key.dag_id, ti_key.run_id)


def nodes_url(dag_id: str, run_id: str) -> str:
    """The page with the dbt nodes of a run."""
    base = conf.get("api", "base_url").rstrip("/")
    return f"{base}/{DBT_NODES}/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


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

    A run of a backfill, and one that is `frugal`, builds nothing where another run has built what has landed.
    """

    operator_extra_links = (DbtNodesLink(),)

    def __init__(self, *, frugal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frugal = frugal

    def invoke(self, context: Mapping[str, Any], arguments: list[str], callbacks: list[Any]) -> Any:
        return run_dbt(enter_warehouse(context), arguments, callbacks)

    def fingerprint(self, context: Mapping[str, Any]) -> str:
        return fingerprint(enter_warehouse(context))

    def already_built(self, context: Mapping[str, Any], fingerprint: str) -> str | None:
        if not self.frugal and context["dag_run"].run_type != "backfill":
            return None
        builder = built_by(enter_warehouse(context), fingerprint)
        return f"Nothing has landed since run {builder} built every model." if builder else None

    def built(self, context: Mapping[str, Any], fingerprint: str) -> None:
        record_build(enter_warehouse(context), fingerprint)


def tell_failure(context: Mapping[str, Any]) -> None:
    """A task's `on_failure_callback`: after the last try."""
    task = context["ti"]
    reason = str(context.get("exception") or "its process ended; the task's log may say why")
    text = f"Run {context['run_id']}, task {task.task_id}, try {task.try_number}: {reason}\n{task.log_url}"
    raise_alert(enter_warehouse(context), f"{task.dag_id}.{task.task_id}", text)


def tell_success(context: Mapping[str, Any]) -> None:
    """A task's `on_success_callback`: where its last failure was told, so is this."""
    task = context["ti"]
    text = f"Run {context['run_id']}: task {task.task_id} has succeeded."
    settle_alert(enter_warehouse(context), f"{task.dag_id}.{task.task_id}", text)


def enter_warehouse(context: Mapping[str, Any]) -> Settings:
    """The settings of the run's warehouse, which the environment of this process names from here on.

    It is `warehouse` of the run's configuration, otherwise the stack's own.
    """
    if warehouse := context["params"].get("warehouse"):
        os.environ["WAREHOUSE_DB"] = warehouse
    os.environ["PIPELINE_RUN_ID"] = context["run_id"]
    return load_settings()
