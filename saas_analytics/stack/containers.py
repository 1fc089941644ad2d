"""Starts and stops the stack in containers, and runs the project's commands in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from saas_analytics.console import console, note, print_table, step
from saas_analytics.landing.zone import zone_directories
from saas_analytics.layout import PIPELINE, POSTGRES, Layout, StackError
from saas_analytics.settings import Settings, load_settings
from saas_analytics.stack.addresses import excludes_loopback, external_database
from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.airflow_api import AirflowApi, AirflowApiError
from saas_analytics.stack.compose import (
    IMAGE_USER,
    Container,
    compose,
    compose_program,
    containers,
    last_log_lines,
    remove_image,
    settings_of,
)
from saas_analytics.stack.dotenv import (
    PROJECT_NAME,
    ensure_dotenv,
    keep_project_name,
    kept_project_name,
)
from saas_analytics.stack.locking import locked
from saas_analytics.stack.ports import choose_ports, taking_ports
from saas_analytics.stack.production import is_pinned
from saas_analytics.stack.status import print_addresses, print_contents
from saas_analytics.waiting import wait_until

WHERE_COMMANDS_RUN = "airflow-scheduler"
INIT = "airflow-init"
SUPERSET_INIT = "superset-init"
SET_UP = (INIT, SUPERSET_INIT)  # these exit before the others start
SERVICES = (
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "docs",
)
# Compose skips the services of a profile that is not named.
_WITH_DASHBOARDS = {"COMPOSE_PROFILES": "dashboards"}
AIRFLOW_DEADLINE = 300.0
_RESTARTS = 3  # after so many, a container that is still not healthy counts as failed
POSTGRES_DEADLINE = 120.0


def up(root: Path) -> Settings:
    """Build the image, start every container, and return when all of them are healthy.

    StackError if one fails; the message has the end of its log.
    """
    layout = Layout(root)
    layout.make_directories()
    with locked(layout):
        for text in ensure_dotenv(root):
            note(text)
        settings = load_settings(root)
        _check_address(root)
        keep_project_name(root, project_name(root))
        _make_shared_directories(settings)
        _build(root, "STACK_IMAGE", INIT)
        with taking_ports():
            if not _running(root):
                settings = choose_ports(layout, settings)
            with step("The containers start"):
                _start(settings, layout)
        _wait_until_healthy(settings)
    return settings


def _start(settings: Settings, layout: Layout) -> None:
    arguments, log = ["up", "--detach", "--no-build"], layout.log("docker-up")
    if _own_database(settings.root):
        _quietly(settings.root, [*arguments, POSTGRES], log)
        _set_admin_password(settings)
        _quietly(settings.root, [*arguments, "--remove-orphans"], log)
        return
    # Compose's own order of services includes PostgreSQL, which is not started here.
    _quietly(settings.root, ["run", "--rm", "--no-deps", "-T", INIT, "init"], log)
    _quietly(settings.root, [*arguments, "--no-deps", "--remove-orphans", *SERVICES], log)


def _own_database(root: Path) -> bool:
    return external_database(settings_of(root)) is None


def _check_address(root: Path) -> None:
    """StackError unless commands on this machine find PostgreSQL where it is published."""
    values = settings_of(root)
    address, host = values.get("WAREHOUSE_ADDRESS", "127.0.0.1"), values["WAREHOUSE_HOST"]
    if _own_database(root) and excludes_loopback(address) and address != host:
        raise StackError(
            f"WAREHOUSE_ADDRESS is {address}, so PostgreSQL would be published only there. "
            f"WAREHOUSE_HOST, where `make psql` and the other commands look for it, is {host}. "
            f"Set WAREHOUSE_HOST={address} in .env too."
        )


def _set_admin_password(settings: Settings) -> None:
    """Give the superuser the password of `.env`, which may be newer than the data.

    The image takes the password only at its first start. Inside the container no password is needed
    to change it.
    """
    quoted = settings.secret("WAREHOUSE_ADMIN_PASSWORD").replace("'", "''")
    psql = ["psql", "--no-psqlrc", "--quiet", "--username=postgres", "--set=ON_ERROR_STOP=1"]
    before = _restarts(settings.root)
    healthy = wait_until(
        lambda: any(
            one.service == POSTGRES and one.health == "healthy" for one in _running(settings.root)
        ),
        seconds=POSTGRES_DEADLINE,
        interval=0.5,
        has_failed=lambda: _failing(settings.root, before),
    )
    if not healthy:
        raise StackError(f"PostgreSQL does not become healthy.{_unhealthy_logs(settings.root)}")
    done = compose(
        settings.root,
        ["exec", "-T", POSTGRES, *psql],
        quiet=True,
        text=f"alter role postgres password '{quoted}';\n",
    )
    if done.returncode:
        raise StackError(
            f"PostgreSQL did not take its password from .env:\n{done.stdout.strip()[-500:]}"
        )


def dashboards(root: Path) -> Settings:
    """Start the stack and Superset with the dashboards of this checkout.

    Returns when both are healthy.
    """
    settings = up(root)
    layout = Layout(root)
    with locked(layout):
        _build(root, "SUPERSET_IMAGE", SUPERSET_INIT)
        log = layout.log("docker-up")
        with taking_ports():
            if not any(container.service == "superset" for container in _running(root)):
                settings = choose_ports(layout, settings, ["SUPERSET_PORT"])
            with step("Superset starts"):
                if _own_database(root):
                    _quietly(root, ["up", "--detach", "--no-build"], log, _WITH_DASHBOARDS)
                else:
                    _quietly(
                        root,
                        ["run", "--rm", "--no-deps", "-T", SUPERSET_INIT],
                        log,
                        _WITH_DASHBOARDS,
                    )
                    _quietly(
                        root,
                        ["up", "--detach", "--no-build", "--no-deps", "superset"],
                        log,
                        _WITH_DASHBOARDS,
                    )
        _wait_until_healthy(settings)
    return settings


def down(root: Path, *, volumes: bool = False) -> bool:
    """Remove the containers and keep the data. Return whether there were containers.

    With `volumes`, the data and the images of this checkout are removed too.
    """
    present = containers(project_name(root))
    if present or volumes:
        with step("Stopping the containers"):
            arguments = ["down", "--remove-orphans", *(["--volumes"] if volumes else [])]
            _quietly(root, arguments, Layout(root).log("docker-down"), _WITH_DASHBOARDS)
    if volumes:
        for image in (_image(root, "STACK_IMAGE"), _image(root, "SUPERSET_IMAGE")):
            if image and not is_pinned(image):
                remove_image(image)
    return bool(present)


def status(root: Path) -> bool:
    """Print the state of each container. Return whether all of them are healthy."""
    present = containers(project_name(root))
    if not present:
        console.print("The stack is not running. `make up` starts it.")
        return False
    print_table(
        [("service", "state", "health", "since", "container")]
        + [(one.service, one.state, one.health, one.started_at[:19], one.name) for one in present]
    )
    console.print()
    settings = load_settings(root)
    print_addresses(settings)
    print_contents(settings)
    return all(one.is_healthy for one in present)


def run(root: Path, command: Sequence[str]) -> int:
    """Run a command where Airflow's tasks run; return its exit code."""
    terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["-T"]
    company = ("COMPANY_SCALE", "COMPANY_SEED", "COMPANY_FOUNDED", "SYNTHETIC_COMPANY")
    names = ("WAREHOUSE_DB", *company, "DBT_AS_OF", "DBT_LOG_LEVEL_FILE")
    given = [
        part
        for name in names
        if os.environ.get(name)
        for part in ("--env", f"{name}={os.environ[name]}")
    ]
    return compose(root, ["exec", *terminal, *given, WHERE_COMMANDS_RUN, *command]).returncode


def command(program: str) -> list[str]:
    """The beginning of a command line that runs `program` where Airflow's tasks run."""
    return [*compose_program(), "exec", "-T", WHERE_COMMANDS_RUN, program]


def project_name(root: Path) -> str:
    """The name of this checkout's containers, networks and volumes; each checkout has its own."""
    return settings_of(root).get(PROJECT_NAME) or kept_project_name(root) or "none"


def _running(root: Path) -> list[Container]:
    return [
        container for container in containers(project_name(root)) if container.state == "running"
    ]


def _build(root: Path, key: str, service: str) -> None:
    """Build the image that the setting `key` names, unless it is pinned by its digest."""
    if not is_pinned(_image(root, key)):
        with step(f"The image of {service} is built"):
            _quietly(root, ["build", service], Layout(root).log("docker-build"), _WITH_DASHBOARDS)


def _image(root: Path, key: str) -> str:
    return settings_of(root).get(key, "")


def _make_shared_directories(settings: Settings) -> None:
    """Create the directories that containers and people share.

    The engine would create them for root. If root starts the stack, the containers' user gets them.
    """
    own = [settings.root / name for name in ("incoming", "site", ".local/reports")]
    for path in (settings.landing_zone, *own):
        path.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        # Only the parts of a landing zone: its directory may hold other things too.
        parts = [*own, *zone_directories(settings.landing_zone)]
        for entry in chain([settings.landing_zone], parts, *(path.rglob("*") for path in parts)):
            if entry.lstat().st_uid == 0:  # another user's files stay theirs
                os.chown(entry, IMAGE_USER, 0, follow_symlinks=False)


def _quietly(
    root: Path, arguments: Sequence[str], log: Path, values: Mapping[str, str] | None = None
) -> None:
    done = compose(root, arguments, quiet=True, values=values)
    log.write_text(done.stdout)
    if done.returncode:
        lines = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-20:])
        raise StackError(
            f"Compose failed: {' '.join(arguments)}\n{lines}\n"
            f"The whole output is in {log}.{_unhealthy_logs(root)}\n"
            "`make down` stops what was started. STACK=local make up needs no containers."
        )


def _unhealthy_logs(root: Path) -> str:
    """The end of the log of each container that failed or is unhealthy; empty if none is."""
    started = [one for one in containers(project_name(root)) if one.state != "created"]
    # A container that starts for the first time may only need time.
    unhealthy = [
        one
        for one in started
        if not one.is_healthy and (one.health != "starting" or one.times_restarted)
    ]
    return "".join(
        f"\nThe last lines of {one.name} (all of them: docker logs {one.name}):\n"
        f"{last_log_lines(one)}"
        for one in unhealthy
    )


def _wait_until_healthy(settings: Settings) -> None:
    api = AirflowApi(airflow_url(settings), settings.secret("AIRFLOW_ADMIN_PASSWORD"))
    before = _restarts(settings.root)
    waiting_for = ""
    with step("Every container is healthy and Airflow knows the pipeline") as progress:

        def is_ready() -> bool:
            nonlocal waiting_for
            if waiting_for := _not_ready(settings, api):
                progress(f"waiting for {waiting_for}")
            return not waiting_for

        healthy = wait_until(
            is_ready,
            seconds=AIRFLOW_DEADLINE,
            interval=1,
            has_failed=lambda: _failing(settings.root, before),
        )
        if not healthy:
            failing = _failing(settings.root, before)
            late = f"Not healthy after {AIRFLOW_DEADLINE:.0f} s: {waiting_for}"
            raise StackError(
                f"{f'Failed: {failing}' if failing else late}.{_unhealthy_logs(settings.root)}\n"
                "`make status` names the containers; docker logs NAME prints the log of one."
            )
        if settings.knows_admin:
            api.warm_up()


def _restarts(root: Path) -> dict[str, int]:
    return {one.name: one.times_restarted for one in containers(project_name(root))}


def _failing(root: Path, before: Mapping[str, int]) -> str:
    """The unhealthy services that restarted too often since `before`, as text; empty if none."""
    unhealthy = [one for one in containers(project_name(root)) if one.health != "healthy"]
    return ", ".join(
        one.service
        for one in unhealthy
        if one.times_restarted - before.get(one.name, 0) >= _RESTARTS
    )


def _not_ready(settings: Settings, api: AirflowApi) -> str:
    """The services that are not ready yet, or the DAG; empty if all are ready."""
    running = [
        container
        for container in containers(project_name(settings.root))
        if container.service not in SET_UP
    ]
    if waiting := [container.service for container in running if container.health != "healthy"]:
        return ", ".join(waiting)
    if not settings.knows_admin:
        return ""
    try:
        return "" if api.knows(PIPELINE) else f"the DAG {PIPELINE}"
    except AirflowApiError:
        return "the api-server"
