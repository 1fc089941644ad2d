"""Brings the embedded stack up and down."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import psutil
import psycopg

from saas_analytics.console import console, note, step, warn
from saas_analytics.layout import (
    AIRFLOW_PROGRAMS,
    ALWAYS_ON,
    PIPELINE,
    POSTGRES,
    Layout,
    StackError,
    bin_directory,
)
from saas_analytics.pipeline.transform import TRANSFORM_POOL, ensure_manifest
from saas_analytics.settings import Settings, load_settings
from saas_analytics.stack import supervision
from saas_analytics.stack.airflow import (
    airflow_environment,
    airflow_url,
    ensure_fab_admin,
    migrated_to,
    migration,
    note_migration,
    write_passwords,
)
from saas_analytics.stack.airflow_api import AirflowApi, AirflowApiError
from saas_analytics.stack.dotenv import (
    FIRST_AIRFLOW_PORT,
    FIRST_DOCS_PORT,
    FIRST_SUPERSET_PORT,
    FIRST_WAREHOUSE_PORT,
    ensure_dotenv,
    free_port,
    port_is_free,
    set_value,
)
from saas_analytics.stack.postgres import (
    PostgresHome,
    initialise,
    open_home,
    postmaster,
    remove_stale_pid_file,
    server_command,
    set_admin_password,
)
from saas_analytics.stack.processes import describe, end, listener, marked
from saas_analytics.stack.production import database_elsewhere
from saas_analytics.waiting import wait_until
from saas_analytics.warehouse import ensure_cluster, ensure_warehouse

GIGABYTE = 1024**3
POSTGRES_DEADLINE = 60.0
AIRFLOW_DEADLINE = 180.0


def up(root: Path) -> Settings:
    """Bring the stack of the project at `root` up, and return when all of it is healthy."""
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
    """Stop everything and keep the data. False if there was nothing to stop."""
    layout = Layout(root)
    if not layout.run.is_dir():
        return False
    with locked(layout):
        stopped = False
        if supervision.is_up(layout):
            with step("Stopping Airflow and PostgreSQL"), suppress(StackError):
                supervision.shut_down(layout)
            stopped = True
        if left := end_leftovers(layout):
            if not stopped:
                note(f"Ended {len(left)} processes that ran without their supervisor.")
            stopped = True
        return stopped


def end_leftovers(layout: Layout) -> list[psutil.Process]:
    """End processes of this stack that no supervisor watches; return those that were found."""
    left = marked(layout.root)
    if layout.postgres.exists() and (server := _postmaster(layout)):
        server.send_signal(2)  # SIGINT: PostgreSQL's fast shutdown
        psutil.wait_procs([server], timeout=60)
        left.append(server)
    alive = end([process for process in left if process.is_running()], patience=10)
    if alive:
        raise StackError(
            f"These processes do not end: {', '.join(map(describe, alive))}. End them: kill -9 PID."
        )
    return left


def stray_processes(layout: Layout) -> list[psutil.Process]:
    """Processes of this stack, while no supervisor runs."""
    server = _postmaster(layout) if layout.postgres.exists() else None
    return [*marked(layout.root), *([server] if server else [])]


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Only one command at a time brings this stack up or down; a second one waits."""
    with _alone(
        layout.run / "lock", "Another command is bringing this stack up or down; waiting for it."
    ):
        yield


@contextmanager
def taking_ports() -> Iterator[None]:
    """Only one of a user's stacks at a time looks which ports are free and takes them: two would choose the same."""
    # Not in TMPDIR, which another shell may have elsewhere.
    path = Path(f"/tmp/saas-analytics-ports-{os.geteuid()}.lock")
    with _alone(path, "Another stack is starting; waiting until it has its ports."):
        yield


@contextmanager
def _alone(path: Path, waiting: str) -> Iterator[None]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StackError(
            f"{path} cannot be opened ({error.strerror}): remove it, or ask its owner to."
        ) from None
    with os.fdopen(handle, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _refuse_a_full_disk(layout: Layout) -> None:
    places = {layout.local, layout.postgres.resolve() if layout.postgres.exists() else layout.local}
    for place in places:
        free = shutil.disk_usage(place).free
        if free < GIGABYTE:
            raise StackError(
                f"Only {free / GIGABYTE:.2f} GB are free where {place} lies; the stack needs at least 1 GB. "
                "Free some space (`make clean` removes this stack's data) and run `make up` again."
            )


def _start_supervisor(layout: Layout, home: PostgresHome, settings: Settings) -> Settings:
    if end_leftovers(layout):
        note("Ended processes of this stack that ran without their supervisor.")
    settings = settle_ports(layout, settings)
    if not home.initialised:
        with step(f"Making a PostgreSQL cluster in {home.data}"):
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


PORTS = ("WAREHOUSE_PORT", "AIRFLOW_PORT", "SUPERSET_PORT", "DOCS_PORT")


def settle_ports(layout: Layout, settings: Settings, keys: Collection[str] = PORTS) -> Settings:
    """Move to a free port where another program has taken ours, and say so."""
    for key, port, first in (
        ("WAREHOUSE_PORT", settings.port, FIRST_WAREHOUSE_PORT),
        ("AIRFLOW_PORT", settings.airflow_port or 0, FIRST_AIRFLOW_PORT),
        ("SUPERSET_PORT", settings.superset_port or 0, FIRST_SUPERSET_PORT),
        ("DOCS_PORT", settings.docs_port or 0, FIRST_DOCS_PORT),
    ):
        if key not in keys:
            continue
        if port_is_free(port) or (
            key == "WAREHOUSE_PORT" and database_elsewhere({"WAREHOUSE_HOST": settings.host})
        ):
            continue
        taken_by = f"Port {port} is taken by {describe(listener(port))}"
        if os.environ.get(key):
            raise StackError(
                f"{taken_by}, and the environment asks for it: {key}={port}. Choose another or unset it."
            )
        ports = (settings.port, settings.airflow_port, settings.superset_port, settings.docs_port)
        others = frozenset(port for port in ports if port)
        new = free_port(first, others)
        set_value(layout.root, key, str(new))
        warn(f"{taken_by}. This stack moves to port {new} ({key} in {layout.dotenv}).")
        settings = load_settings(layout.root)
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
                # .env was made anew beside older data. They are ours: give the superuser the new password.
                supervision.stop(layout, (POSTGRES,))
                set_admin_password(home, settings.secret("WAREHOUSE_ADMIN_PASSWORD"))
                supervision.start(layout, (POSTGRES,))
                password_was_set = True
                note("The data are older than .env: the server now has the passwords of .env.")
            elif time.monotonic() > deadline or has_given_up(layout, (POSTGRES,)):
                reason = f"PostgreSQL does not accept queries: {error}"
                raise StackError(f"{reason}\n{last_lines(layout.log(POSTGRES))}") from None
        Event().wait(0.1)


def _prepare_databases(settings: Settings) -> None:
    with step(f"Roles and warehouse {settings.database} are up to date"):
        ensure_cluster(settings)
        ensure_warehouse(settings)


def _read_models(settings: Settings) -> None:
    """So that Airflow knows the models, which it shows, before the first of them is built."""
    with step("dbt has read the models"):
        ensure_manifest(settings)


def _migrate_airflow(layout: Layout, settings: Settings) -> None:
    version = migration(settings)
    environment = {**_inherited(), **airflow_environment(settings)}
    if migrated_to(settings) == version:
        ensure_fab_admin(settings, environment)
        return
    with step(f"Airflow's metadata are migrated to {version}"):
        log = layout.log("airflow-migrate")
        with log.open("ab") as output:
            done = subprocess.run(
                [str(bin_directory() / "airflow"), "db", "migrate"],
                cwd=layout.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            raise StackError(
                f"`airflow db migrate` failed.\n{last_lines(layout.log('airflow-migrate'))}"
            )
        ensure_fab_admin(settings, environment)
        note_migration(settings, version)


def _wait_for_ports(layout: Layout, settings: Settings) -> None:
    """Until Airflow and the site have taken their ports, or will not; whether they are well is asked later."""
    ports = [port for port in (settings.airflow_port, settings.docs_port) if port]
    wait_until(
        lambda: not any(map(port_is_free, ports)),
        seconds=AIRFLOW_DEADLINE,
        interval=0.1,
        has_failed=lambda: has_given_up(layout, ALWAYS_ON),
    )


def _wait_for_airflow(layout: Layout, settings: Settings) -> None:
    """Until the API says that every part is healthy and it knows the pipeline."""
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
            has_failed=lambda: has_given_up(layout, AIRFLOW_PROGRAMS),
        )
        if not healthy:
            raise StackError(
                f"Airflow is not healthy: still waiting for {waiting_for}.\n"
                f"{last_lines(layout.log(_culprit(layout, waiting_for)))}\n"
                "Fix what they say and run `make up` again; `make down` stops what was started."
            )
        if settings.knows_admin:
            api.warm_up()
            api.ensure_pool(
                TRANSFORM_POOL, 1, "One dbt at a time: two would build under the same names"
            )


def _not_ready(api: AirflowApi, *, knows_admin: bool) -> str:
    """What of Airflow is not ready yet; empty when all of it is, as far as it tells who cannot log in."""
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
    """The program whose log tells why Airflow is not ready."""
    well = (supervision.RUNNING, supervision.STARTING)
    ended = [program.name for program in supervision.programs(layout) if program.state not in well]
    named = [
        name
        for name in AIRFLOW_PROGRAMS
        if name.removeprefix("airflow-") in waiting_for.replace("_", "-")
    ]
    return (ended or named or ["airflow-dag-processor"])[0]


def has_given_up(layout: Layout, names: tuple[str, ...]) -> bool:
    return any(
        program.state == "FATAL"
        for program in supervision.programs(layout)
        if program.name in names
    )


def last_lines(path: Path, count: int = 15) -> str:
    lines = path.read_text(errors="replace").splitlines()[-count:] if path.exists() else []
    return f"The last lines of {path}:\n" + "\n".join(f"  {line}" for line in lines)


def _postmaster(layout: Layout) -> psutil.Process | None:
    return postmaster(layout.postgres.resolve() / "data")


def _inherited() -> dict[str, str]:
    """The caller's environment without what belongs to another stack or another environment."""
    foreign = (
        "AIRFLOW",
        "WAREHOUSE_",
        "PG",
        "PYTHON",
        "VIRTUAL_ENV",
        "COMPANY_",
        "SYNTHETIC_",
        "MAKE",
        "MFLAGS",
    )
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
