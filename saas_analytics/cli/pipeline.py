"""The commands that build models and run the pipeline."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from saas_analytics.cli.application import (
    PIPELINE,
    Day,
    Invocation,
    Warehouse,
    as_day,
    command,
    yesterday,
)
from saas_analytics.cli.data import in_containers
from saas_analytics.errors import UsageError

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@command("dbt", PIPELINE, context_settings=_PASS_ON)
def dbt(context: typer.Context) -> int:
    """Run dbt in the warehouse, one dbt at a time: analytics dbt build --select marts.

    dbt gets the settings of the project. The exit code is 1 if a model or a test failed, and 2 if
    dbt could not run.
    """
    from saas_analytics.pipeline.transform import run_dbt
    from saas_analytics.settings import load_settings

    if not context.args:
        raise UsageError("which command of dbt? For example: analytics dbt build")
    signal.signal(signal.SIGTERM, _stop)
    outcome = run_dbt(load_settings(), context.args)
    if outcome.error:
        typer.echo(f"error: {outcome.error}", err=True)
        return 2
    return 0 if outcome.success else 1


def _stop(number: int, frame: object) -> None:
    """End this process by an exception, so that dbt cancels its queries first."""
    raise SystemExit(128 + number)


@command("dbt-build", PIPELINE)
def dbt_build(context: typer.Context, warehouse: Warehouse = None) -> int:
    """Build and test every model."""
    return _dbt(context, "build")


@command("dbt-test", PIPELINE)
def dbt_test(context: typer.Context, warehouse: Warehouse = None) -> int:
    """Test the models without building them."""
    return _dbt(context, "test")


def _dbt(context: typer.Context, verb: str) -> int:
    if (code := in_containers(context, [f"dbt-{verb}"])) is not None:
        return code
    context.args = [verb]
    context.obj = Invocation(here=True)
    return dbt(context)


@command("trigger", PIPELINE)
def trigger(day: Day, warehouse: Warehouse = None) -> int:
    """Run the pipeline in Airflow for a day, and wait for it."""
    from saas_analytics.settings import load_settings
    from saas_analytics.stack import runs

    return 0 if runs.trigger(load_settings(), day) else 1


@command("backfill", PIPELINE)
def backfill(
    first: Annotated[
        date,
        typer.Option("--from", parser=as_day, metavar="YYYY-MM-DD", help="The first day."),
    ],
    last: Annotated[
        date,
        typer.Option(
            "--to",
            parser=as_day,
            metavar="YYYY-MM-DD",
            default_factory=yesterday,
            show_default="yesterday, UTC",
            help="The last day.",
        ),
    ],
    warehouse: Warehouse = None,
) -> int:
    """Run the pipeline in Airflow for many days, and wait for them."""
    from saas_analytics.settings import load_settings
    from saas_analytics.stack import runs

    if last < first:
        raise UsageError(f"The last day, {last}, is before the first, {first}.")
    return 0 if runs.backfill(load_settings(), first, last) else 1


@command("publish", PIPELINE)
def publish(day: Day, warehouse: Warehouse = None) -> None:
    """Store the summary of the newest run for a day in quality.pipeline_runs, and print it."""
    from saas_analytics.metrics.kpis import newest_kpis
    from saas_analytics.pipeline.publish import publish as keep_summary
    from saas_analytics.settings import load_settings

    settings = load_settings()
    summary = keep_summary(settings, day, asdict(newest_kpis(settings)))
    typer.echo(json.dumps(summary, indent=2))


@command("maintenance", PIPELINE)
def maintenance(warehouse: Warehouse = None) -> None:
    """Vacuum tables that need it, and delete old logs, results and runs."""
    from saas_analytics.pipeline.maintenance import maintain
    from saas_analytics.settings import load_settings
    from saas_analytics.stack.airflow import airflow_environment

    settings = load_settings()
    maintain(settings, airflow_environment(settings))


@command("create-warehouse", PIPELINE)
def create_warehouse(
    warehouse: Warehouse = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Create roles and the applications' databases first.")
    ] = False,
) -> None:
    """Create the warehouse, or bring its schemas and roles up to date."""
    from saas_analytics.settings import load_settings
    from saas_analytics.warehouse import ensure_cluster, ensure_warehouse

    settings = load_settings()
    if cluster:
        ensure_cluster(settings)
    ensure_warehouse(settings)
    typer.echo(f"Warehouse {settings.database} is up to date.")
