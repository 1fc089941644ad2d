"""`make doctor`: checks this machine and this stack, and says how to fix each finding."""

from __future__ import annotations

import difflib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil

from saas_analytics.console import console
from saas_analytics.layout import AIRFLOW_PROGRAMS, DOCS, POSTGRES, SUPERSET, Layout, StackError
from saas_analytics.settings import SettingsError, load_settings, read_dotenv
from saas_analytics.settings_table import KEYS
from saas_analytics.stack import supervision
from saas_analytics.stack.account import server_account
from saas_analytics.stack.choice import chosen_stack
from saas_analytics.stack.compose import containers
from saas_analytics.stack.containers import project_name
from saas_analytics.stack.embedded import GIGABYTE
from saas_analytics.stack.processes import describe, listener, stack_processes
from saas_analytics.stack.sockets import port_is_free

SUPPORTED_PYTHON = ((3, 11), (3, 14))  # at least, and below


class Verdict(Enum):
    OK = "[green]ok[/green]  "
    WARN = "[yellow]warn[/yellow]"
    FAIL = "[red]fail[/red]"


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one thing, and how to fix it."""

    subject: str
    verdict: Verdict
    found: str
    fix: str = ""


def doctor(root: Path) -> bool:
    """Print every finding. Return whether nothing is broken."""
    findings = list(examine(root))
    for finding in findings:
        console.print(f"{finding.verdict.value}  {finding.subject:<18}", end=" ")
        console.print(finding.found, markup=False)
        if finding.fix:
            console.print(f"{'':<25}-> {finding.fix}", markup=False)
    return not any(finding.verdict is Verdict.FAIL for finding in findings)


def examine(root: Path) -> Iterator[Finding]:
    """The findings about this machine and the stack at `root`."""
    layout = Layout(root)
    yield _python()
    yield _uv(root)
    yield _memory()
    yield from _disk(layout)
    yield from _dotenv(layout)
    yield _docker()
    if chosen_stack(root)[0] == "docker":
        yield from _containers(root)
    else:
        yield _server_user()
        yield from _ports(layout)
        yield from _processes(layout)


def _python() -> Finding:
    low, high = SUPPORTED_PYTHON
    if low <= sys.version_info[:2] < high:
        return Finding("Python", Verdict.OK, platform.python_version())
    return Finding(
        "Python",
        Verdict.FAIL,
        f"{platform.python_version()}; the stack works with 3.11 to 3.13",
        "Remove .venv and run `make up`: uv finds or downloads a suitable Python.",
    )


def _uv(root: Path) -> Finding:
    for place in (shutil.which("uv"), root / ".local/uv/bin/uv"):
        if place and Path(place).exists():
            return Finding("uv", Verdict.OK, str(place))
    return Finding("uv", Verdict.WARN, "not on the PATH", "`make up` installs it with pip.")


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIGABYTE:.1f} of {memory.total / GIGABYTE:.1f} GB are free"
    if memory.available < 1 * GIGABYTE:
        return Finding(
            "memory", Verdict.FAIL, found, "The stack needs about 2 GB. Close other programs."
        )
    if memory.available < 2 * GIGABYTE:
        return Finding(
            "memory", Verdict.WARN, found, "The stack needs about 2 GB; it may become slow."
        )
    return Finding("memory", Verdict.OK, found)


def _disk(layout: Layout) -> Iterator[Finding]:
    places = {"disk": layout.root}
    if layout.postgres.is_symlink():
        places["disk of the data"] = layout.postgres.resolve()
    for subject, place in places.items():
        if not place.exists():
            fix = f"Restore it, or remove the link {layout.postgres}: `make up` then starts empty."
            yield Finding(subject, Verdict.FAIL, f"{place} is gone", fix)
            continue
        free = shutil.disk_usage(place).free / GIGABYTE
        found = f"{free:.1f} GB are free at {place}"
        if free < 1:
            yield Finding(
                subject, Verdict.FAIL, found, "The stack needs 1 GB to start. Free some space."
            )
        elif free < 5:
            yield Finding(
                subject, Verdict.WARN, found, "60 days of the synthetic company need about 1 GB."
            )
        else:
            yield Finding(subject, Verdict.OK, found)


def _server_user() -> Finding:
    try:
        account = server_account()
    except StackError as error:
        return Finding("PostgreSQL's user", Verdict.FAIL, str(error), "useradd --system postgres")
    return Finding("PostgreSQL's user", Verdict.OK, account.name)


def _dotenv(layout: Layout) -> Iterator[Finding]:
    if not layout.dotenv.exists():
        yield Finding(
            ".env", Verdict.WARN, f"{layout.dotenv} does not exist yet", "`make up` creates it."
        )
        return
    mode = layout.dotenv.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding(
            ".env",
            Verdict.FAIL,
            f"others can read it (mode {mode:o})",
            f"chmod 600 {layout.dotenv}, or `make up`.",
        )
    try:
        load_settings(layout.root)
        written = read_dotenv(layout.dotenv)
        missing = [key for key in KEYS if key not in written]
    except SettingsError as error:
        yield Finding(".env", Verdict.FAIL, str(error), f"Correct {layout.dotenv}.")
        return
    for key in sorted(set(written) - set(KEYS)):
        near = difflib.get_close_matches(key, KEYS, n=1)
        fix = f"Did you mean {near[0]}?" if near else "`analytics settings` lists the keys."
        yield Finding(".env", Verdict.WARN, f"{key} is not a setting", fix)
    if missing:
        yield Finding(".env", Verdict.WARN, f"has no {', '.join(missing)}", "`make up` adds them.")
    elif not mode & 0o077:
        yield Finding(".env", Verdict.OK, f"complete, mode {mode:o}")


def _ports(layout: Layout) -> Iterator[Finding]:
    try:
        settings = load_settings(layout.root)
    except SettingsError:
        return
    running = {program.name for program in supervision.programs(layout)}
    ours = {process.pid for process in stack_processes(layout)}
    for subject, key, port, up in (
        ("PostgreSQL's port", "WAREHOUSE_PORT", settings.port, POSTGRES in running),
        ("Airflow's port", "AIRFLOW_PORT", settings.airflow_port, AIRFLOW_PROGRAMS[0] in running),
        ("Superset's port", "SUPERSET_PORT", settings.superset_port, SUPERSET in running),
        ("the site's port", "DOCS_PORT", settings.docs_port, DOCS in running),
    ):
        if port is None:
            yield Finding(subject, Verdict.WARN, f"{key} is not set", "`make up` chooses one.")
        elif port_is_free(port):
            if up:
                yield Finding(
                    subject,
                    Verdict.FAIL,
                    f"nobody listens on {port}",
                    "`make status` shows what failed.",
                )
            else:
                yield Finding(subject, Verdict.OK, f"{port} is free")
        elif up:
            yield Finding(subject, Verdict.OK, f"{port}, in use by this stack")
        elif (holder := listener(port)) and holder.pid in ours:
            yield Finding(
                subject,
                Verdict.WARN,
                f"{port} is held by an orphan of this stack",
                "See below.",
            )
        else:
            yield Finding(
                subject,
                Verdict.WARN,
                f"{port} is taken by {describe(holder)}",
                f"`make up` moves to another, or set {key} in {layout.dotenv}.",
            )


def _processes(layout: Layout) -> Iterator[Finding]:
    programs = supervision.programs(layout)
    if programs:
        broken = [program for program in programs if program.state != supervision.RUNNING]
        for program in broken:
            yield Finding(
                program.name,
                Verdict.FAIL,
                program.state.lower(),
                f"See {layout.log(program.name)}, then `make up`.",
            )
        if not broken:
            yield Finding("processes", Verdict.OK, f"all {len(programs)} run")
    elif orphans := stack_processes(layout):
        pids = ", ".join(str(process.pid) for process in orphans)
        found = f"{len(orphans)} run without their supervisor: pid {pids}"
        yield Finding("orphans", Verdict.FAIL, found, "`make down` ends them.")
    else:
        yield Finding("processes", Verdict.OK, "the stack is down and has no orphans")


def _docker() -> Finding:
    docker = shutil.which("docker")
    if docker is None:
        return Finding("Docker", Verdict.OK, "not installed; the embedded stack works without it")
    try:
        done = subprocess.run(
            [docker, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except subprocess.TimeoutExpired:
        return Finding(
            "Docker",
            Verdict.WARN,
            "the engine does not answer",
            "The embedded stack works without it.",
        )
    if done.returncode:
        return Finding(
            "Docker", Verdict.OK, "no engine answers; the embedded stack works without it"
        )
    return Finding("Docker", Verdict.OK, f"engine {done.stdout.strip()}")


def _containers(root: Path) -> Iterator[Finding]:
    try:
        present = containers(project_name(root))
    except StackError as error:
        yield Finding("containers", Verdict.FAIL, *str(error).split("\n", 1))
        return
    broken = [one for one in present if not one.is_healthy]
    for one in broken:
        found = f"{one.state} {one.health}".strip()
        yield Finding(
            one.service, Verdict.FAIL, found, f"docker logs {one.name} says why; then `make up`."
        )
    if not present:
        yield Finding("containers", Verdict.OK, "the stack is down")
    elif not broken:
        yield Finding("containers", Verdict.OK, f"all {len(present)} are healthy")
