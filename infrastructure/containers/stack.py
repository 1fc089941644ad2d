"""Brings the stack in containers up and down, and runs the project's commands in it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event

from infrastructure.containers.compose import IMAGE_USER, Container, compose, compose_program, containers, remove_image
from infrastructure.containers.production import database_elsewhere, is_pinned
from infrastructure.local.airflow import airflow_url
from infrastructure.local.airflow_api import AirflowApi, AirflowApiError
from infrastructure.local.console import console, note, step
from infrastructure.local.dotenv import ensure_dotenv
from infrastructure.local.layout import PIPELINE, Layout, StackError
from infrastructure.local.stack import locked, settle_ports, taking_ports
from infrastructure.local.status import print_addresses, print_columns, print_contents
from infrastructure.settings import Settings, load_settings, read_dotenv

WHERE_COMMANDS_RUN = "airflow-scheduler"
INIT = "airflow-init"
SUPERSET_INIT = "superset-init"
SET_UP = (INIT, SUPERSET_INIT)  # these end before the others start
SERVICES = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "docs")
# Compose leaves out the services of a profile that is not named here.
_WITH_DASHBOARDS = {"COMPOSE_PROFILES": "dashboards"}
AIRFLOW_DEADLINE = 300.0


def up(root: Path) -> Settings:
    """Build the images, start every container, and return when all of them are healthy."""
    layout = Layout(root)
    layout.make_directories()
    with locked(layout):
        for text in ensure_dotenv(root):
            note(text)
        settings = load_settings(root)
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
    if database_elsewhere({"WAREHOUSE_HOST": settings.host}) is None:
        _quietly(settings.root, [*arguments, "--remove-orphans"], log)
        return
    # Everything but PostgreSQL, so Compose cannot be left to wait for it and for what comes after it.
    _quietly(settings.root, ["run", "--rm", "--no-deps", "-T", INIT, "init"], log)
    _quietly(settings.root, [*arguments, "--no-deps", "--remove-orphans", *SERVICES], log)


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
                if database_elsewhere({"WAREHOUSE_HOST": settings.host}) is None:
                    _quietly(root, ["up", "--detach", "--no-build"], log, _WITH_DASHBOARDS)
                else:
                    _quietly(root, ["run", "--rm", "--no-deps", "-T", SUPERSET_INIT], log, _WITH_DASHBOARDS)
                    _quietly(root, ["up", "--detach", "--no-build", "--no-deps", "superset"], log, _WITH_DASHBOARDS)
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
    print_columns(
        [("container", "state", "health", "since")]
        + [(container.service, container.state, container.health, container.started_at[:19]) for container in there]
    )
    console.print()
    settings = load_settings(root)
    print_addresses(settings)
    print_contents(settings)
    return all(
        container.state == "running" and container.health == "healthy"
        for container in there
        if container.service not in SET_UP
    )


def run(root: Path, command: Sequence[str]) -> int:
    """Run a command where Airflow's tasks run; return its exit code."""
    terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["-T"]
    names = ("WAREHOUSE_DB", "COMPANY_SCALE", "COMPANY_SEED", "COMPANY_FOUNDED", "SYNTHETIC_COMPANY", "DBT_AS_OF")
    given = [part for name in names if os.environ.get(name) for part in ("--env", f"{name}={os.environ[name]}")]
    return compose(root, ["exec", *terminal, *given, WHERE_COMMANDS_RUN, *command]).returncode


def command() -> list[str]:
    """What a Python script of this project and its arguments follow, to be run where Airflow's tasks run."""
    return [*compose_program(), "exec", "-T", WHERE_COMMANDS_RUN, "python"]


def project_name(root: Path) -> str:
    """What Compose calls this checkout's containers, networks and volumes; no two checkouts have the same."""
    return os.environ.get("COMPOSE_PROJECT_NAME") or read_dotenv(root / ".env").get("COMPOSE_PROJECT_NAME", "none")


def _running(root: Path) -> list[Container]:
    return [container for container in containers(project_name(root)) if container.state == "running"]


def _build(root: Path, key: str, service: str) -> None:
    """Build the image that the setting `key` names, unless it is named by its digest: such a one is taken as it is."""
    if not is_pinned(_image(root, key)):
        with step(f"The image of {service} is built"):
            _quietly(root, ["build", service], Layout(root).log("docker-build"), _WITH_DASHBOARDS)


def _image(root: Path, key: str) -> str:
    return os.environ.get(key) or read_dotenv(root / ".env").get(key, "")


def _make_shared_directories(settings: Settings) -> None:
    """What containers and people share: made here, as the engine would make it for root alone."""
    for path in (settings.landing_zone, *(settings.root / name for name in ("incoming", "site", ".local/reports"))):
        path.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0 and path.stat().st_uid == 0:
            for entry in (path, *path.rglob("*")):
                if entry.lstat().st_uid == 0:  # what is another user's stays theirs
                    os.chown(entry, IMAGE_USER, 0, follow_symlinks=False)


def _quietly(root: Path, arguments: Sequence[str], log: Path, values: Mapping[str, str] | None = None) -> None:
    done = compose(root, arguments, quiet=True, values=values)
    log.write_text(done.stdout)
    if done.returncode:
        lines = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-20:])
        raise StackError(
            f"Compose could not do this: {' '.join(arguments)}\n{lines}\nAll of it is in {log}; `make down` stops what "
            "was started. STACK=local make up needs no containers."
        )


def _wait_until_healthy(settings: Settings) -> None:
    api = AirflowApi(airflow_url(settings), settings.secret("AIRFLOW_ADMIN_PASSWORD"))
    deadline = time.monotonic() + AIRFLOW_DEADLINE
    with step("Every container is healthy and Airflow knows the pipeline") as progress:
        while waiting_for := _not_ready(settings, api):
            progress(f"waiting for {waiting_for}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"Not healthy after {AIRFLOW_DEADLINE:.0f} s: {waiting_for}. What it says: docker logs CONTAINER."
                )
            Event().wait(1)
        if settings.knows_admin:
            api.warm_up()


def _not_ready(settings: Settings, api: AirflowApi) -> str:
    """What is not ready yet; empty when all of it is."""
    there = [container for container in containers(project_name(settings.root)) if container.service not in SET_UP]
    if waiting := [container.service for container in there if container.health != "healthy"]:
        return ", ".join(waiting)
    if not settings.knows_admin:
        return ""
    try:
        return "" if api.knows(PIPELINE) else f"the DAG {PIPELINE}"
    except AirflowApiError:
        return "the api-server"
