"""Brings the stack in containers up and down, and runs the project's commands in it."""

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
from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.airflow_api import AirflowApi, AirflowApiError
from saas_analytics.stack.compose import (
    IMAGE_USER,
    Container,
    compose,
    compose_program,
    containers,
    last_words,
    remove_image,
    settings_of,
)
from saas_analytics.stack.dotenv import (
    PROJECT_NAME,
    ensure_dotenv,
    keep_project_name,
    kept_project_name,
)
from saas_analytics.stack.embedded import locked, settle_ports, taking_ports
from saas_analytics.stack.production import database_elsewhere, is_pinned, reaches_only_itself
from saas_analytics.stack.status import print_addresses, print_contents
from saas_analytics.waiting import wait_until

WHERE_COMMANDS_RUN = "airflow-scheduler"
INIT = "airflow-init"
SUPERSET_INIT = "superset-init"
SET_UP = (INIT, SUPERSET_INIT)  # these end before the others start
SERVICES = (
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "docs",
)
# Compose leaves out the services of a profile that is not named here.
_WITH_DASHBOARDS = {"COMPOSE_PROFILES": "dashboards"}
AIRFLOW_DEADLINE = 300.0
_RESTARTS = 3  # after which a container is given up that is still not healthy
POSTGRES_DEADLINE = 120.0


def up(root: Path) -> Settings:
    """Build the images, start every container, and return when all of them are healthy."""
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
                settings = settle_ports(layout, settings)
            with step("The containers are started"):
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
    # Everything but PostgreSQL, so Compose cannot be left to wait for it and for what comes after it.
    _quietly(settings.root, ["run", "--rm", "--no-deps", "-T", INIT, "init"], log)
    _quietly(settings.root, [*arguments, "--no-deps", "--remove-orphans", *SERVICES], log)


def _own_database(root: Path) -> bool:
    return database_elsewhere(settings_of(root)) is None


def _check_address(root: Path) -> None:
    """The commands of this machine must find PostgreSQL where it is published."""
    values = settings_of(root)
    address, host = values.get("WAREHOUSE_ADDRESS", "127.0.0.1"), values["WAREHOUSE_HOST"]
    if _own_database(root) and reaches_only_itself(address) and address != host:
        raise StackError(
            f"WAREHOUSE_ADDRESS is {address}, so PostgreSQL would be published there alone, and WAREHOUSE_HOST, where "
            f"`make psql` and the other commands look for it, is {host}. Set WAREHOUSE_HOST={address} in .env too."
        )


def _set_admin_password(settings: Settings) -> None:
    """Give the superuser the password of `.env`, which may have been made anew: the image takes it at its first start
    alone. Who is inside the container needs none for it.
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
        raise StackError(f"PostgreSQL does not get healthy.{_what_is_wrong(settings.root)}")
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
    """Bring the stack up, and Superset beside it with the dashboards of this checkout; return when it is healthy."""
    settings = up(root)
    layout = Layout(root)
    with locked(layout):
        _build(root, "SUPERSET_IMAGE", SUPERSET_INIT)
        log = layout.log("docker-up")
        with taking_ports():
            if not any(container.service == "superset" for container in _running(root)):
                settings = settle_ports(layout, settings, ["SUPERSET_PORT"])
            with step("Superset is started"):
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
    """Remove the containers and keep the data, or with `volumes` remove these and the images too. False where there
    were no containers.
    """
    there = containers(project_name(root))
    if there or volumes:
        with step("Stopping the containers"):
            arguments = ["down", "--remove-orphans", *(["--volumes"] if volumes else [])]
            _quietly(root, arguments, Layout(root).log("docker-down"), _WITH_DASHBOARDS)
    if volumes:
        for image in (_image(root, "STACK_IMAGE"), _image(root, "SUPERSET_IMAGE")):
            if image and not is_pinned(image):
                remove_image(image)
    return bool(there)


def status(root: Path) -> bool:
    """Print the state of each container. True when all of them are well."""
    there = containers(project_name(root))
    if not there:
        console.print("The stack is not running. `make up` starts it.")
        return False
    print_table(
        [("service", "state", "health", "since", "container")]
        + [(one.service, one.state, one.health, one.started_at[:19], one.name) for one in there]
    )
    console.print()
    settings = load_settings(root)
    print_addresses(settings)
    print_contents(settings)
    return all(one.is_well for one in there)


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
    """What Compose calls this checkout's containers, networks and volumes; no two checkouts have the same."""
    return settings_of(root).get(PROJECT_NAME) or kept_project_name(root) or "none"


def _running(root: Path) -> list[Container]:
    return [
        container for container in containers(project_name(root)) if container.state == "running"
    ]


def _build(root: Path, key: str, service: str) -> None:
    """Build the image that the setting `key` names, unless it is named by its digest: such a one is taken as it is."""
    if not is_pinned(_image(root, key)):
        with step(f"The image of {service} is built"):
            _quietly(root, ["build", service], Layout(root).log("docker-build"), _WITH_DASHBOARDS)


def _image(root: Path, key: str) -> str:
    return settings_of(root).get(key, "")


def _make_shared_directories(settings: Settings) -> None:
    """What containers and people share: made here, as the engine would make it for root alone. What of it the
    containers work with becomes theirs, where root is who calls.
    """
    own = [settings.root / name for name in ("incoming", "site", ".local/reports")]
    for path in (settings.landing_zone, *own):
        path.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        # Of the landing zone only what is laid out as one: it may be a directory that holds other things too.
        parts = [*own, *zone_directories(settings.landing_zone)]
        for entry in chain([settings.landing_zone], parts, *(path.rglob("*") for path in parts)):
            if entry.lstat().st_uid == 0:  # what is another user's stays theirs
                os.chown(entry, IMAGE_USER, 0, follow_symlinks=False)


def _quietly(
    root: Path, arguments: Sequence[str], log: Path, values: Mapping[str, str] | None = None
) -> None:
    done = compose(root, arguments, quiet=True, values=values)
    log.write_text(done.stdout)
    if done.returncode:
        lines = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-20:])
        raise StackError(
            f"Compose could not do this: {' '.join(arguments)}\n{lines}\nAll of it is in {log}.{_what_is_wrong(root)}\n"
            "`make down` stops what was started. STACK=local make up needs no containers."
        )


def _what_is_wrong(root: Path) -> str:
    """The last that each container has written which ended with an error or is not healthy; empty without any."""
    started = [one for one in containers(project_name(root)) if one.state != "created"]
    # One that starts for the first time may only need time.
    wrong = [
        one
        for one in started
        if not one.is_well and (one.health != "starting" or one.times_restarted)
    ]
    return "".join(
        f"\nThe last of {one.name} (docker logs {one.name} has all):\n{last_words(one)}"
        for one in wrong
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
                f"{f'Fails: {failing}' if failing else late}.{_what_is_wrong(settings.root)}\n"
                "`make status` names the containers; docker logs NAME is what one of them says."
            )
        if settings.knows_admin:
            api.warm_up()


def _restarts(root: Path) -> dict[str, int]:
    return {one.name: one.times_restarted for one in containers(project_name(root))}


def _failing(root: Path, before: Mapping[str, int]) -> str:
    """What has ended by itself again and again since it had done so `before`, and is not healthy."""
    there = [one for one in containers(project_name(root)) if one.health != "healthy"]
    return ", ".join(
        one.service for one in there if one.times_restarted - before.get(one.name, 0) >= _RESTARTS
    )


def _not_ready(settings: Settings, api: AirflowApi) -> str:
    """What is not ready yet; empty when all of it is."""
    there = [
        container
        for container in containers(project_name(settings.root))
        if container.service not in SET_UP
    ]
    if waiting := [container.service for container in there if container.health != "healthy"]:
        return ", ".join(waiting)
    if not settings.knows_admin:
        return ""
    try:
        return "" if api.knows(PIPELINE) else f"the DAG {PIPELINE}"
    except AirflowApiError:
        return "the api-server"
