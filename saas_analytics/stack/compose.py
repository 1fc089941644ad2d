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
from saas_analytics.stack.production import database_elsewhere

IMAGE_USER = 50000  # of the image, where root starts the stack
_NO_CERTIFICATE = DEFAULTS["WAREHOUSE_SSLROOTCERT"]
_HELP = "Start Docker, or take the stack that needs none: STACK=local make up."


@dataclass(frozen=True, slots=True)
class Container:
    """A container of the stack, running or not."""

    name: str
    service: str
    state: str  # as the engine says: running, exited, restarting, ...
    health: str  # healthy, unhealthy, starting, or empty where there is no check
    exit_code: int  # of its last end
    restarts: bool  # those of them that set up end, and are well then
    started_at: str
    times_restarted: int = 0  # by the engine, after it ended by itself

    @property
    def is_well(self) -> bool:
        if self.state == "exited":
            return not self.restarts and self.exit_code == 0
        return self.state == "running" and (self.health == "healthy" or not self.restarts)


def engine_answers() -> bool:
    """True where a Docker engine answers and Compose is there."""
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
    """Run a command of Compose on the project at `root`; `quiet` keeps what it says instead of showing it, and then
    `text` is what the command reads.
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
    """Every setting by its name: of `.env`, and of the environment, which wins."""
    given = {key: value for key, value in os.environ.items() if value and key in KEYS}
    return {**DEFAULTS, **read_dotenv(root / ".env"), **given}


def _given(root: Path) -> dict[str, str]:
    """What the settings mean in containers: where PostgreSQL is, if it is none of theirs, and the files to mount."""
    values = settings_of(root)
    # Compose takes a path without a leading / or . for the name of a volume. What stands in .env is given too, as
    # Compose would expand a $ in it and this project does not.
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
    elsewhere = database_elsewhere(values)
    given |= {
        "WAREHOUSE_CONTAINER_HOST": elsewhere or "postgres",
        "WAREHOUSE_CONTAINER_PORT": values["WAREHOUSE_PORT"] if elsewhere else "5432",
    }
    return given


def compose_program() -> tuple[str, ...]:
    """`docker compose`, or docker-compose where only that is installed."""
    program = _compose()
    if program is None:
        raise StackError(f"Neither `docker compose` nor docker-compose is installed. {_HELP}")
    return program


def containers(project: str) -> list[Container]:
    """The containers of a project of Compose, by their labels: the two versions of Compose list them differently."""
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


def last_words(container: Container, lines: int = 15) -> str:
    """The end of what a container has written, indented."""
    told = subprocess.run(
        ["docker", "logs", "--tail", str(lines), container.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ).stdout.decode(errors="replace")
    return "\n".join(f"  {line}" for line in told.splitlines())


def remove_image(image: str) -> None:
    """Remove an image where it is there; containers that still use it keep it."""
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
