"""Calls `docker compose` (or docker-compose 1.29) for the stack of this project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from saas_analytics.layout import StackError
from saas_analytics.settings import read_dotenv
from saas_analytics.settings_table import DEFAULTS, KEYS
from saas_analytics.stack.addresses import external_database

IMAGE_USER = 50000  # the user of the containers if root starts the stack
_NO_CERTIFICATE = DEFAULTS["WAREHOUSE_SSLROOTCERT"]
_HELP = "Start Docker, or use the stack without containers: STACK=local make up."


@dataclass(frozen=True, slots=True)
class Container:
    """A container of the stack, running or not."""

    name: str
    service: str
    state: str  # the engine's word: running, exited, restarting, ...
    health: str  # healthy, unhealthy, starting; empty without a health check
    exit_code: int  # of its last exit
    restarts: bool  # False for a set-up container, which is meant to exit
    started_at: str
    times_restarted: int = 0  # by the engine, after it exited by itself

    @property
    def is_healthy(self) -> bool:
        """Whether it runs and passes its health check, or has finished its set-up."""
        if self.state == "exited":
            return not self.restarts and self.exit_code == 0
        return self.state == "running" and (self.health == "healthy" or not self.restarts)


def engine_answers() -> bool:
    """Whether a Docker engine answers and Compose is installed."""
    if shutil.which("docker") is None or _compose() is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def compose(
    root: Path,
    arguments: Sequence[str],
    *,
    quiet: bool = False,
    values: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command of Compose on the project at `root`.

    `quiet` captures its output instead of showing it; `text` is then its standard input.
    """
    return subprocess.run(
        [*compose_program(), *arguments],
        cwd=root,
        env={
            **os.environ,
            "STACK_USER": str(os.getuid() or IMAGE_USER),
            **_given(root),
            **(values or {}),
        },
        input=text if quiet else None,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
    )


def settings_of(root: Path) -> dict[str, str]:
    """Every setting by its name, from `.env` and from the environment, which wins."""
    given = {key: value for key, value in os.environ.items() if value and key in KEYS}
    return {**DEFAULTS, **read_dotenv(root / ".env"), **given}


def _given(root: Path) -> dict[str, str]:
    """The settings as containers need them: the address of PostgreSQL, and the files to mount."""
    values = settings_of(root)
    # Compose takes a path without a leading / or . for the name of a volume. The values of .env are
    # passed too: Compose would expand a $ in them, and this project does not.
    given = {
        **{key: os.environ.get(key) or value for key, value in read_dotenv(root / ".env").items()},
        "LANDING_ZONE_MOUNT": str(root / values["LANDING_ZONE"]),
        "WAREHOUSE_SSLROOTCERT": str(root / values["WAREHOUSE_SSLROOTCERT"]),
        "SSLROOTCERT_INSIDE": "none.crt"
        if values["WAREHOUSE_SSLROOTCERT"] == _NO_CERTIFICATE
        else "root.crt",
    }
    if values["SPECIAL_DAYS"] != "off":
        given |= {
            "SPECIAL_DAYS_FILE": str(root / values["SPECIAL_DAYS"]),
            "SPECIAL_DAYS_INSIDE": "special_days.csv",
        }
    external = external_database(values)
    given |= {
        "WAREHOUSE_CONTAINER_HOST": external or "postgres",
        "WAREHOUSE_CONTAINER_PORT": values["WAREHOUSE_PORT"] if external else "5432",
    }
    return given


def compose_program() -> tuple[str, ...]:
    """`docker compose`, or docker-compose if only that is installed. StackError without either."""
    program = _compose()
    if program is None:
        raise StackError(f"Neither `docker compose` nor docker-compose is installed. {_HELP}")
    return program


def containers(project: str) -> list[Container]:
    """The containers of a project of Compose, sorted by service.

    They are found by their labels, because the two versions of Compose list them differently.
    """
    label = f"label=com.docker.compose.project={project}"
    listed = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", label], capture_output=True, text=True
    )
    if listed.returncode:
        raise StackError(f"The Docker engine does not answer: {listed.stderr.strip()}\n{_HELP}")
    if not (identifiers := listed.stdout.split()):
        return []
    found = json.loads(
        subprocess.run(["docker", "inspect", *identifiers], capture_output=True, text=True).stdout
    )
    return sorted(
        (
            Container(
                name=entry["Name"].removeprefix("/"),
                service=entry["Config"]["Labels"]["com.docker.compose.service"],
                state=entry["State"]["Status"],
                health=entry["State"].get("Health", {}).get("Status", ""),
                exit_code=entry["State"]["ExitCode"],
                restarts=entry["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no"),
                started_at=entry["State"]["StartedAt"],
                times_restarted=entry["RestartCount"],
            )
            for entry in found
        ),
        key=lambda container: container.service,
    )


def last_log_lines(container: Container, lines: int = 15) -> str:
    """The last lines of a container's log, indented."""
    log = subprocess.run(
        ["docker", "logs", "--tail", str(lines), container.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ).stdout.decode(errors="replace")
    return "\n".join(f"  {line}" for line in log.splitlines())


def remove_image(image: str) -> None:
    """Remove an image if it exists; a container that still uses it keeps it."""
    subprocess.run(["docker", "image", "rm", image], capture_output=True)


@cache
def _compose() -> tuple[str, ...] | None:
    for program in (("docker", "compose"), ("docker-compose",)):
        if (
            shutil.which(program[0])
            and subprocess.run([*program, "version"], capture_output=True).returncode == 0
        ):
            return program
    return None
