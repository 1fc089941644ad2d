"""The commands that start, stop and inspect the stack."""

from __future__ import annotations

import os
import shutil
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from saas_analytics.cli.application import STACK, Json, Warehouse, Yes, command
from saas_analytics.errors import UsageError

if TYPE_CHECKING:
    from saas_analytics.stack.choice import Stack


@command("up", STACK)
def up() -> None:
    """Start the stack, and return when it is healthy."""
    from saas_analytics.console import console
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack import containers, embedded
    from saas_analytics.stack.status import print_addresses

    start = containers.up if _announce_stack() == "docker" else embedded.up
    settings = start(PROJECT_ROOT)
    console.print("[bold green]The stack is up.[/bold green]")
    print_addresses(settings)


@command("down", STACK)
def down() -> None:
    """Stop the stack; the data are kept."""
    from saas_analytics.console import console
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack import containers, embedded

    stop = containers.down if _runs_in_containers() else embedded.down
    console.print("Stopped; the data are kept." if stop(PROJECT_ROOT) else "Nothing was running.")


@command("demo", STACK)
def demo() -> int:
    """Show everything once: start the stack, land 60 days, run Airflow, print key figures."""
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack import containers, embedded
    from saas_analytics.stack.demo import demo as show

    if _announce_stack() == "docker":
        return 0 if show(containers.up(PROJECT_ROOT), containers.command("analytics")) else 1
    analytics = [sys.executable, "-m", "saas_analytics"]
    return 0 if show(embedded.up(PROJECT_ROOT), analytics) else 1


@command("dashboards", STACK)
def dashboards() -> None:
    """Start the dashboards (Superset) next to the stack."""
    from saas_analytics.console import console, print_table
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack import containers, superset

    start = containers.dashboards if _announce_stack() == "docker" else superset.dashboards
    settings = start(PROJECT_ROOT)
    console.print("[bold green]The dashboards are up.[/bold green]")
    url = superset.superset_url(settings)
    print_table([("Dashboards", url, text) for text in superset.superset_login(settings)])


@command("docs", STACK)
def docs(warehouse: Warehouse = None) -> None:
    """Build the documentation site."""
    from saas_analytics.console import console, step
    from saas_analytics.documentation.site import build
    from saas_analytics.settings import load_settings
    from saas_analytics.stack.sockets import port_is_free
    from saas_analytics.stack.status import docs_url

    settings = load_settings()
    with step("The documentation site is built"):
        page = build(settings)
    console.print(f"The documentation: {page}", markup=False)
    if settings.docs_port and not port_is_free(settings.docs_port):
        console.print(f"Served at {docs_url(settings)}", markup=False)


@command("serve-docs", STACK)
def serve_docs(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(metavar="N", show_default="DOCS_PORT", help="The port.")
    ] = None,
) -> None:
    """Serve the documentation site, as the stack does."""
    from saas_analytics.documentation.serve import serve
    from saas_analytics.settings import PROJECT_ROOT, SettingsError, load_settings

    if port is None and (port := load_settings().docs_port) is None:
        dotenv = PROJECT_ROOT / ".env"
        raise SettingsError(f"{dotenv} has no DOCS_PORT: run `make up`, which adds it.")
    serve(PROJECT_ROOT / "site", host, port)


@command("status", STACK)
def status(warehouse: Warehouse = None) -> int:
    """Show what is running, its addresses, and how much is in the warehouse."""
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack import containers
    from saas_analytics.stack.status import status as show

    return 0 if (containers.status if _runs_in_containers() else show)(PROJECT_ROOT) else 1


@command("doctor", STACK)
def doctor() -> int:
    """Check this machine and this stack, and print a fix for each finding."""
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack.doctor import doctor as check

    return 0 if check(PROJECT_ROOT) else 1


@command("psql", STACK)
def psql(
    sql: Annotated[
        str | None,
        typer.Option("--sql", metavar="SQL", envvar="SQL", help="Run this SQL and exit."),
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """Open a session in the warehouse as its owner."""
    from saas_analytics.settings import LOGINS, load_settings
    from saas_analytics.stack.postgres import binaries

    settings = load_settings()
    environment = {
        **os.environ,
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGUSER": LOGINS["owner"],
        "PGPASSWORD": settings.secret("WAREHOUSE_OWNER_PASSWORD"),
        "PGDATABASE": settings.database,
        **settings.tls_environment(),
    }
    program = [str(binaries() / "bin/psql")]
    if sql:
        program += ["--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--command={sql}"]
    os.execve(program[0], program, environment)


@command("env", STACK)
def env(warehouse: Warehouse = None) -> None:
    """Print `export` lines for a shell: eval "$(analytics env)"."""
    from saas_analytics.console import errors
    from saas_analytics.settings import PROJECT_ROOT, load_settings
    from saas_analytics.stack.dotenv import ensure_dotenv
    from saas_analytics.stack.environment import export_lines

    for text in ensure_dotenv(PROJECT_ROOT):
        errors.print(text)
    typer.echo(export_lines(load_settings()))


@command("settings", STACK)
def settings(
    template: Annotated[
        bool, typer.Option("--template", help="Print the text of .env.template.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print every setting with its value and origin; secrets are not shown."""
    from saas_analytics import settings_table
    from saas_analytics.stack.settings_listing import print_settings

    if template:
        typer.echo(settings_table.template(), nl=False)
    else:
        print_settings(as_json=as_json)


class Target(StrEnum):
    """The kind of stack that `deploy` starts."""

    dev = "dev"
    prod = "prod"


@command("deploy", STACK)
def deploy(
    target: Annotated[
        Target, typer.Argument(help="dev builds the images here; prod takes pinned ones.")
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Check the settings for production; start nothing.")
    ] = False,
) -> int:
    """Start the stack in containers. prod refuses unsafe settings, and prints a fix for each."""
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack.deploy import deploy as start

    if check and target is Target.dev:
        raise UsageError("--check is for production: ./deploy.sh prod --check")
    return 0 if start(PROJECT_ROOT, production=target is Target.prod, only_check=check) else 1


@command("clean", STACK)
def clean(
    own_files: Annotated[
        bool, typer.Option("--own-files", help="Remove your own files in the landing zone, too.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Remove the warehouse and what else this project created below its root; .env is kept."""
    from saas_analytics.console import console
    from saas_analytics.layout import Layout, StackError
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack import containers, embedded
    from saas_analytics.stack.removal import describe, plan_removal

    removal = plan_removal(Layout(PROJECT_ROOT), own_files=own_files)
    has_containers = _runs_in_containers()
    if removal.kept:
        console.print("This stays:")
        for text in removal.kept:
            console.print(f"  {text}", markup=False)
    if not removal.paths and not has_containers:
        console.print("Nothing to remove.")
        return 0
    console.print("This removes the warehouse and everything else that this project created:")
    for path in removal.paths:
        console.print(f"  {describe(path)}", markup=False)
    if has_containers:
        console.print("  the volumes of the containers")
    if not yes:
        if not sys.stdin.isatty():
            raise StackError(
                "There is no terminal for the question. `make clean YES=1` does not ask."
            )
        if not typer.confirm("Remove it?"):
            console.print("Nothing was removed.")
            return 1
    if has_containers:
        containers.down(PROJECT_ROOT, volumes=True)
    embedded.down(PROJECT_ROOT)
    for path in removal.paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    console.print("Removed. .env is kept: it holds your settings.")
    return 0


def _announce_stack() -> Stack:
    from saas_analytics.console import console
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack.choice import chosen_stack, remember

    chosen, why = chosen_stack(PROJECT_ROOT)
    where = "in containers" if chosen == "docker" else "on this machine"
    console.print(f"Stack: {chosen} ({why}). PostgreSQL and Airflow run {where}.")
    remember(PROJECT_ROOT, chosen)
    return chosen


def _runs_in_containers() -> bool:
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack.choice import chosen_stack

    return chosen_stack(PROJECT_ROOT)[0] == "docker"
