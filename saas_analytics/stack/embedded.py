"""Starts and stops the embedded stack."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from threading import Event

import psycopg

from saas_analytics.console import console, note, step
from saas_analytics.layout import (
    AIRFLOW_PROGRAMS,
    ALWAYS_ON,
    PIPELINE,
    POSTGRES,
    Layout,
    StackError,
    bin_directory,
)
from saas_analytics.pipeline.dbt_project import ensure_manifest
from saas_analytics.pipeline.transform import TRANSFORM_POOL
from saas_analytics.settings import Settings, load_settings
from saas_analytics.stack import supervision
from saas_analytics.stack.airflow import (
    TRANSFORM_POOL_DESCRIPTION,
    airflow_environment,
    airflow_url,
    ensure_fab_admin,
    record_migration,
    recorded_migration,
    wanted_migration,
    write_passwords,
)
from saas_analytics.stack.airflow_api import AirflowApi, AirflowApiError
from saas_analytics.stack.dotenv import ensure_dotenv
from saas_analytics.stack.locking import locked
from saas_analytics.stack.logs import last_lines
from saas_analytics.stack.ports import choose_ports, taking_ports
from saas_analytics.stack.postgres import (
    PostgresHome,
    initialise,
    open_home,
    remove_stale_pid_file,
    server_command,
    set_admin_password,
)
from saas_analytics.stack.processes import end_orphans
from saas_analytics.stack.sockets import port_is_free
from saas_analytics.waiting import wait_until
from saas_analytics.warehouse import ensure_cluster, ensure_warehouse

GIGABYTE = 1024**3
POSTGRES_DEADLINE = 60.0
AIRFLOW_DEADLINE = 180.0


def up(root: Path) -> Settings:
    """Start the stack of the project at `root`, and return when all of it is healthy.

    StackError if it does not get there; the message has the end of the log that says why.
    """
    layout = Layout(root)
    layout.make_directories()
    with locked(layout):
        _refuse_a_full_disk(layout)
        for text in ensure_dotenv(root):
            note(text)
        settings = load_settings(root)
        running = {
            program.name
            for program in supervision.programs(layout)
            if program.state == supervision.RUNNING
        }
        if running.issuperset(ALWAYS_ON):
            _prepare_databases(settings)
            _read_models(settings)
            _wait_for_airflow(layout, settings)
            console.print("The stack is already running.")
            return settings
        home, notes = open_home(layout.postgres, root)
        for text in notes:
            note(text)
        with taking_ports():
            if not supervision.is_up(layout):
                settings = _start_supervisor(layout, home, settings)
            with step("PostgreSQL accepts queries"):
                supervision.start(layout, (POSTGRES,))
                _wait_for_postgres(layout, home, settings)
            _prepare_databases(settings)
            _migrate_airflow(layout, settings)
            _read_models(settings)
            supervision.start(layout, ALWAYS_ON)
            _wait_for_ports(layout, settings)
        _wait_for_airflow(layout, settings)
        return settings


def down(root: Path) -> bool:
    """Stop everything and keep the data. Return whether there was something to stop."""
    layout = Layout(root)
    if not layout.run.is_dir():
        return False
    with locked(layout):
        stopped = False
        if supervision.is_up(layout):
            with step("Stopping Airflow and PostgreSQL"), suppress(StackError):
                supervision.shut_down(layout)
            stopped = True
        if orphans := end_orphans(layout):
            if not stopped:
                note(f"Ended {len(orphans)} processes that ran without their supervisor.")
            stopped = True
        return stopped


def _refuse_a_full_disk(layout: Layout) -> None:
    places = {layout.local, layout.postgres.resolve() if layout.postgres.exists() else layout.local}
    for place in places:
        free = shutil.disk_usage(place).free
        if free < GIGABYTE:
            raise StackError(
                f"Only {free / GIGABYTE:.2f} GB are free at {place}; the stack needs at least 1. "
                "Free some space (`make clean` removes this stack's data) and run `make up` again."
            )


def _start_supervisor(layout: Layout, home: PostgresHome, settings: Settings) -> Settings:
    if end_orphans(layout):
        note("Ended processes of this stack that ran without their supervisor.")
    settings = choose_ports(layout, settings)
    if not home.initialised:
        with step(f"A PostgreSQL cluster is created in {home.data}"):
            initialise(home, settings.secret("WAREHOUSE_ADMIN_PASSWORD"))
    remove_stale_pid_file(home)
    write_passwords(settings)
    supervision.write_configuration(
        layout,
        server_command(home, settings.port),
        None if home.account.is_us else home.account.name,
    )
    supervision.start_supervisord(layout, {**_inherited(), **airflow_environment(settings)})
    return settings


def _wait_for_postgres(layout: Layout, home: PostgresHome, settings: Settings) -> None:
    password_was_set = False
    deadline = time.monotonic() + POSTGRES_DEADLINE
    while True:
        try:
            psycopg.connect(settings.admin_dsn()).close()
            return
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error) and not password_was_set:
                # .env is newer than the data. Both belong to this stack, so the superuser gets the
                # new password.
                supervision.stop(layout, (POSTGRES,))
                set_admin_password(home, settings.secret("WAREHOUSE_ADMIN_PASSWORD"))
                supervision.start(layout, (POSTGRES,))
                password_was_set = True
                note("The data are older than .env: the server now has the passwords of .env.")
            elif time.monotonic() > deadline or supervision.has_failed(layout, (POSTGRES,)):
                reason = f"PostgreSQL does not accept queries: {error}"
                raise StackError(f"{reason}\n{last_lines(layout.log(POSTGRES))}") from None
        Event().wait(0.1)


def _prepare_databases(settings: Settings) -> None:
    with step(f"Roles and warehouse {settings.database} are up to date"):
        ensure_cluster(settings)
        ensure_warehouse(settings)


def _read_models(settings: Settings) -> None:
    """Have dbt parse the models, so that Airflow shows them before the first is built."""
    with step("dbt has read the models"):
        ensure_manifest(settings)


def _migrate_airflow(layout: Layout, settings: Settings) -> None:
    version = wanted_migration(settings)
    environment = {**_inherited(), **airflow_environment(settings)}
    if recorded_migration(settings) == version:
        ensure_fab_admin(settings, environment)
        return
    commands: list[tuple[str, ...]] = [("db", "migrate")]
    if not settings.knows_admin:  # otherwise the API does it, in a tenth of the time
        commands.append(("pools", "set", TRANSFORM_POOL, "1", TRANSFORM_POOL_DESCRIPTION))
    with step(f"Airflow's metadata are migrated to {version}"):
        log = layout.log("airflow-migrate")
        for command in commands:
            with log.open("ab") as output:
                done = subprocess.run(
                    [str(bin_directory() / "airflow"), *command],
                    cwd=layout.root,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            if done.returncode:
                raise StackError(f"`airflow {' '.join(command)}` failed.\n{last_lines(log)}")
        ensure_fab_admin(settings, environment)
        record_migration(settings, version)


def _wait_for_ports(layout: Layout, settings: Settings) -> None:
    """Wait until Airflow and the site have taken their ports, or have failed.

    Whether they are healthy is checked later.
    """
    ports = [port for port in (settings.airflow_port, settings.docs_port) if port]
    wait_until(
        lambda: not any(map(port_is_free, ports)),
        seconds=AIRFLOW_DEADLINE,
        interval=0.1,
        has_failed=lambda: supervision.has_failed(layout, ALWAYS_ON),
    )


def _wait_for_airflow(layout: Layout, settings: Settings) -> None:
    """Wait until the API reports that every part is healthy and it knows the pipeline."""
    api = AirflowApi(airflow_url(settings), settings.secret("AIRFLOW_ADMIN_PASSWORD"))
    waiting_for = ""
    with step("Airflow is healthy and knows the pipeline") as progress:

        def is_ready() -> bool:
            nonlocal waiting_for
            if waiting_for := _not_ready(api, knows_admin=settings.knows_admin):
                progress(f"waiting for {waiting_for}")
            return not waiting_for

        healthy = wait_until(
            is_ready,
            seconds=AIRFLOW_DEADLINE,
            interval=0.3,
            has_failed=lambda: supervision.has_failed(layout, AIRFLOW_PROGRAMS),
        )
        if not healthy:
            raise StackError(
                f"Airflow is not healthy: still waiting for {waiting_for}.\n"
                f"{last_lines(layout.log(_culprit(layout, waiting_for)))}\n"
                "Fix the cause and run `make up` again; `make down` stops what was started."
            )
        if settings.knows_admin:
            api.warm_up()
            api.ensure_pool(TRANSFORM_POOL, 1, TRANSFORM_POOL_DESCRIPTION)


def _not_ready(api: AirflowApi, *, knows_admin: bool) -> str:
    """The parts of Airflow that are not ready yet; empty if all are.

    Without the user admin this cannot ask for the DAG, only for Airflow's health.
    """
    try:
        health = api.health()
        missing = [name for name, healthy in health.items() if not healthy]
        if missing:
            return ", ".join(missing)
        return "" if not knows_admin or api.knows(PIPELINE) else _import_error(api)
    except AirflowApiError:
        return "api-server"


def _import_error(api: AirflowApi) -> str:
    problems = api.import_errors()
    return f"the DAG {PIPELINE}" + (f", which has an error: {problems[0]}" if problems else "")


def _culprit(layout: Layout, waiting_for: str) -> str:
    """The program whose log says why Airflow is not ready."""
    alive = (supervision.RUNNING, supervision.STARTING)
    ended = [program.name for program in supervision.programs(layout) if program.state not in alive]
    named = [
        name
        for name in AIRFLOW_PROGRAMS
        if name.removeprefix("airflow-") in waiting_for.replace("_", "-")
    ]
    return (ended or named or ["airflow-dag-processor"])[0]


def _inherited() -> dict[str, str]:
    """The caller's environment without the variables of another stack or environment."""
    prefixes = (
        "AIRFLOW",
        "WAREHOUSE_",
        "PG",
        "PYTHON",
        "VIRTUAL_ENV",
        "COMPANY_",
        "DBT_",  # DBT_AS_OF would be today for every run until the stack stops
        "SYNTHETIC_",
        "MAKE",
        "MFLAGS",
    )
    return {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
