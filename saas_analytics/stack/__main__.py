"""The commands of the stack, as the Makefile calls them: `python -m saas_analytics.stack COMMAND`.

Where the stack runs in containers, what works on data is run in one of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from saas_analytics.console import console, errors, fail, step
from saas_analytics.layout import Layout, StackError, zone_directories
from saas_analytics.settings import LOGINS, PROJECT_ROOT, Settings, SettingsError, load_settings
from saas_analytics.stack import containers as containers
from saas_analytics.stack import dotenv
from saas_analytics.stack import embedded as stack
from saas_analytics.stack.airflow_api import AirflowApiError
from saas_analytics.stack.choice import Stack, chosen_stack, remember
from saas_analytics.stack.dotenv import port_is_free
from saas_analytics.stack.environment import export_lines
from saas_analytics.stack.postgres import PostgresError, open_home
from saas_analytics.warehouse import WarehouseError, ensure_warehouse


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        result = arguments.run(arguments)
    except KeyboardInterrupt:
        fail(f"Interrupted. `make {arguments.command}` takes up again from here; `make down` stops what was started.")
        return 130
    except (StackError, SettingsError, WarehouseError, PostgresError, AirflowApiError, LookupError) as error:
        fail(str(error))
        return 1
    return 0 if result is None else int(result)


def _up(arguments: argparse.Namespace) -> None:
    from saas_analytics.stack.status import print_addresses

    settings = (containers.up if _say_which_stack() == "docker" else stack.up)(PROJECT_ROOT)
    console.print("[bold green]The stack is up.[/bold green]")
    print_addresses(settings)


def _say_which_stack() -> Stack:
    chosen, why = chosen_stack(PROJECT_ROOT)
    where = "in containers" if chosen == "docker" else "on this machine"
    console.print(f"Stack: {chosen} ({why}). PostgreSQL and Airflow run {where}.")
    remember(PROJECT_ROOT, chosen)
    return chosen


def _in_containers() -> bool:
    return chosen_stack(PROJECT_ROOT)[0] == "docker"


def _down(arguments: argparse.Namespace) -> None:
    stopped = (containers.down if _in_containers() else stack.down)(PROJECT_ROOT)
    console.print("Stopped; the data are kept." if stopped else "Nothing was running.")


def _demo(arguments: argparse.Namespace) -> int:
    from saas_analytics.stack.demo import demo

    if _say_which_stack() == "docker":
        return 0 if demo(containers.up(PROJECT_ROOT), containers.command()) else 1
    return 0 if demo(stack.up(PROJECT_ROOT), [sys.executable]) else 1


def _python(*command: str) -> int:
    """Run a command line of this project where the stack's tasks run."""
    if _in_containers():
        return containers.run(PROJECT_ROOT, ["python", *command])
    return subprocess.run([sys.executable, *command], cwd=PROJECT_ROOT).returncode


def _days(arguments: argparse.Namespace) -> list[str]:
    return ["--day", str(arguments.day), "--days", str(arguments.days)]


def _generate(arguments: argparse.Namespace) -> int:
    return _python("-m", "data_gen.generate", *_days(arguments))


def _land(arguments: argparse.Namespace) -> int:
    return _python("-m", "data_gen.land", *_days(arguments))


def _dbt(arguments: argparse.Namespace) -> int:
    return _python("-m", "saas_analytics.pipeline.transform", arguments.command.removeprefix("dbt-"))


def _trigger(arguments: argparse.Namespace) -> int:
    from saas_analytics.stack import runs as pipeline

    return 0 if pipeline.trigger(load_settings(), arguments.day) else 1


def _backfill(arguments: argparse.Namespace) -> int:
    from saas_analytics.stack import runs as pipeline

    if arguments.to < arguments.from_:
        raise StackError(f"The last day, {arguments.to}, is before the first, {arguments.from_}.")
    return 0 if pipeline.backfill(load_settings(), arguments.from_, arguments.to) else 1


def _kpis(arguments: argparse.Namespace) -> int:
    from saas_analytics.metrics.kpi_table import print_kpis

    settings = load_settings()
    ensure_warehouse(settings)
    return 0 if print_kpis(settings) else 1


def _docs(arguments: argparse.Namespace) -> int:
    from saas_analytics.documentation.metrics import MetricError
    from saas_analytics.documentation.site import SiteError, build
    from saas_analytics.stack.status import docs_url

    settings = load_settings()
    try:
        with step("The documentation site is built"):
            page = build(settings)
    except (SiteError, MetricError) as error:
        raise StackError(str(error)) from error
    console.print(f"The documentation: {page}", markup=False)
    if settings.docs_port and not port_is_free(settings.docs_port):
        console.print(f"Served at {docs_url(settings)}", markup=False)
    return 0


def _dashboards(arguments: argparse.Namespace) -> None:
    from saas_analytics.stack.status import print_columns
    from saas_analytics.stack.superset import dashboards, superset_login, superset_url

    settings = (containers.dashboards if _say_which_stack() == "docker" else dashboards)(PROJECT_ROOT)
    console.print("[bold green]The dashboards are up.[/bold green]")
    print_columns([("Dashboards", superset_url(settings), text) for text in superset_login(settings)])


def _status(arguments: argparse.Namespace) -> int:
    from saas_analytics.stack.status import status

    return 0 if (containers.status if _in_containers() else status)(PROJECT_ROOT) else 1


def _doctor(arguments: argparse.Namespace) -> int:
    from saas_analytics.stack.doctor import doctor

    return 0 if doctor(PROJECT_ROOT) else 1


def _psql(arguments: argparse.Namespace) -> int:
    settings = load_settings()
    home, _ = open_home(Layout(PROJECT_ROOT).postgres, PROJECT_ROOT)
    environment = {
        **os.environ,
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGUSER": LOGINS["owner"],
        "PGPASSWORD": settings.secret("WAREHOUSE_OWNER_PASSWORD"),
        "PGDATABASE": settings.database,
        **settings.tls_environment(),
    }
    command = [str(home.binaries / "bin/psql")]
    if statement := arguments.sql or os.environ.get("SQL"):  # `make psql SQL=...`; the environment keeps its quotes
        command += ["--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--command={statement}"]
    os.execve(command[0], command, environment)


def _env(arguments: argparse.Namespace) -> None:
    for text in dotenv.ensure_dotenv(PROJECT_ROOT):
        errors.print(text)
    print(export_lines(load_settings()))


def _clean(arguments: argparse.Namespace) -> int:
    doomed = _what_clean_removes(Layout(PROJECT_ROOT))
    in_containers = _in_containers()
    if not doomed and not in_containers:
        console.print("Nothing to remove.")
        return 0
    console.print("This removes the warehouse and everything that this project made:")
    for path in doomed:
        console.print(f"  {path}")
    if in_containers:
        console.print("  the volumes of the containers")
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise StackError("Nobody is there to ask. `make clean YES=1` removes it without asking.")
        if input("Remove it? [y/N] ").strip().lower() not in ("y", "yes"):
            console.print("Nothing was removed.")
            return 1
    if in_containers:
        containers.down(PROJECT_ROOT, volumes=True)
    stack.down(PROJECT_ROOT)
    for path in doomed:
        if path.exists():
            shutil.rmtree(path)
    console.print("Removed. .env is kept: it holds your settings.")
    return 0


def _what_clean_removes(layout: Layout) -> list[Path]:
    paths = [layout.postgres.resolve()] if layout.postgres.is_symlink() else []
    paths += [layout.local, layout.root / "dbt/target", layout.root / "dbt/logs", layout.root / "site"]
    settings = _settings_or_none()
    paths += zone_directories(layout.root, settings.landing_zone if settings else layout.root / "raw")
    return [path for path in paths if path.exists()]


def _settings_or_none() -> Settings | None:
    try:
        return load_settings()
    except SettingsError:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m saas_analytics.stack", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    command("up", _up, "start everything, and return when it is healthy")
    command("down", _down, "stop everything; the data are kept")
    command("demo", _demo, "up, history landed, one Airflow run of the newest day, KPIs")
    for name, run, text in (
        ("generate", _generate, "write the synthetic company's files of some days"),
        ("land", _land, "land the files of some days"),
    ):
        made = command(name, run, text)
        made.add_argument("--day", type=_day, default=_yesterday(), help="the first day (default: yesterday, UTC)")
        made.add_argument("--days", type=int, default=1, help="how many days (default: 1)")
    command("trigger", _trigger, "run the pipeline in Airflow for a day, and wait").add_argument(
        "--day", type=_day, default=_yesterday(), help="the day to process (default: yesterday, UTC)"
    )
    made = command("backfill", _backfill, "run the pipeline in Airflow for many days, and wait")
    made.add_argument("--from", dest="from_", type=_day, required=True, help="the first day (make: FROM=2026-01-01)")
    made.add_argument("--to", type=_day, default=_yesterday(), help="the last day (default: yesterday, UTC)")
    command("dbt-build", _dbt, "build and test every model")
    command("dbt-test", _dbt, "test the models as they are")
    command("kpis", _kpis, "the newest key figures, with sparklines")
    command("docs", _docs, "build the documentation site")
    command("status", _status, "show what runs, addresses, and how much is in the warehouse")
    command("doctor", _doctor, "check this machine and this stack")
    command("dashboards", _dashboards, "start the dashboards (Superset) beside the stack")
    command("psql", _psql, "a session in the warehouse as its owner").add_argument("--sql", help="run this and end")
    command("env", _env, "print `export` lines for a shell")
    command("clean", _clean, "remove the data and everything made").add_argument("--yes", action="store_true")
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2026-01-31") from None


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


if __name__ == "__main__":
    sys.exit(main())
