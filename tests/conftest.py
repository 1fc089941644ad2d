"""What tests of several folders share. Nothing of it touches the developer's own stack.

`postgres` is a server on a free port in a temporary directory, `warehouse` a fresh warehouse in it for one test.
`stack` is the whole embedded stack, Airflow included, of a copy of this project.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infrastructure.local.dotenv import set_value
from infrastructure.local.postgres import initialise, open_home, server_command, server_environment
from infrastructure.settings import KEYS, PROJECT_ROOT, Settings, is_secret, load_settings
from infrastructure.warehouse import ensure_cluster, ensure_warehouse

# Nothing in a test's server has to survive a power cut.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "1GB",
    "shared_buffers": "256MB",
}


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer() -> None:
    """A test gets its settings from its fixtures, and not from the shell that started it."""
    for key in KEYS:
        os.environ.pop(key, None)


@pytest.fixture(scope="session")
def postgres(_no_settings_of_the_developer: None) -> Iterator[Settings]:
    """Settings of a running server with all roles. Its warehouses are made by the fixture `warehouse`."""
    place = Path(tempfile.mkdtemp(prefix="saas-analytics-test-"))
    place.chmod(0o755)  # the server's user is another one when tests run as root
    process = None
    try:
        settings = load_settings(
            place,  # and not the project, whose .env is the developer's
            {
                "WAREHOUSE_HOST": "127.0.0.1",
                "WAREHOUSE_PORT": str(_free_port()),
                "WAREHOUSE_DB": "analytics",
                "LANDING_ZONE": str(place / "raw"),
                "SYNTHETIC_COMPANY": "on",
                "COMPANY_SCALE": "1.0",
                "COMPANY_SEED": "42",
                "COMPANY_FOUNDED": "2026-01-01",
                **{key: secrets.token_urlsafe(16) for key in KEYS if is_secret(key)},
            },
        )
        settings = replace(settings, root=PROJECT_ROOT)
        home, _ = open_home(place / "postgres", place)
        initialise(home, settings.secret("WAREHOUSE_ADMIN_PASSWORD"))
        log = place / "postgres.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                server_command(home, settings.port, FAST),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=server_environment(),
                start_new_session=True,
                **home.account.popen_options(),
            )
        _wait_until_ready(settings, process, log)
        ensure_cluster(settings)
        yield settings
    finally:
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # "fast": ends the sessions that a failed test left open
            process.wait(timeout=30)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def warehouse(postgres: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a fresh warehouse and an empty landing zone, for one test."""
    settings = replace(postgres, database=f"test_{secrets.token_hex(6)}", landing_zone=tmp_path / "raw")
    ensure_warehouse(settings)
    yield settings
    drop_database(settings, settings.database)


@pytest.fixture
def new_warehouse(postgres: Settings, tmp_path: Path) -> Iterator[Callable[[], Settings]]:
    """A function that makes one more fresh warehouse for a test that compares several."""
    made: list[Settings] = []

    def make() -> Settings:
        name = f"test_{secrets.token_hex(6)}"
        settings = replace(postgres, database=name, landing_zone=tmp_path / name)
        ensure_warehouse(settings)
        made.append(settings)
        return settings

    yield make
    for settings in made:
        drop_database(settings, settings.database)


class Stack:
    """A copy of the project with a small company, and the commands of its embedded stack."""

    def __init__(self, root: Path) -> None:
        self.root = root
        inherited = ("AIRFLOW", "WAREHOUSE_", "PG", "DBT_", "MAKE", "MFLAGS", "STACK", "SQL", *KEYS)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(inherited)}

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, as a shell would; its output is shown where it fails."""
        done = subprocess.run(
            [str(self.root / ".venv/bin/python"), *command],
            cwd=self.root,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def local(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of the stack's commands: up, down, status, ..."""
        return self.run("-m", "infrastructure.local", *command, check=check, **environment)

    @property
    def settings(self) -> Settings:
        return load_settings(self.root, env={})


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack that is up. A test that takes it down brings it up again."""
    root = Path(tempfile.mkdtemp(prefix="saas-analytics-stack-"))
    root.chmod(0o755)
    for name in ("airflow", "data_gen", "dbt", "infrastructure"):
        shutil.copytree(
            PROJECT_ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "target", "logs")
        )
    for name in (".env.template", "Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy2(PROJECT_ROOT / name, root / name)
    (root / ".venv").symlink_to(sys.prefix)
    stack = Stack(root)
    try:
        stack.local("env")  # makes .env
        set_value(root, "COMPANY_SCALE", "0.05")
        set_value(root, "COMPANY_FOUNDED", (datetime.now(UTC).date() - timedelta(days=10)).isoformat())
        stack.local("up")
        yield stack
    finally:
        stack.local("down", check=False)
        shutil.rmtree(root, ignore_errors=True)


def drop_database(settings: Settings, name: str) -> None:
    with psycopg.connect(settings.dsn("owner", "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(settings: Settings, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            psycopg.connect(settings.admin_dsn()).close()
            return
        except psycopg.OperationalError:
            try:
                process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            break  # it ended
    pytest.exit(f"The PostgreSQL of the tests did not start:\n{log.read_text()[-2000:]}", returncode=3)
