"""A PostgreSQL server with all roles, on a free port, in a temporary directory: for the tests and `make bench`."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from saas_analytics.settings import PROJECT_ROOT, Settings, load_settings
from saas_analytics.settings_table import GENERATED_SECRETS
from saas_analytics.stack.postgres import initialise, open_home, server_command, server_environment
from saas_analytics.warehouse import ensure_cluster
from tests.waiting import patience

# Nothing in a test's server has to survive a power cut. The rest is as in the embedded stack.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "1GB",
}


@contextmanager
def running_server(**options: str) -> Iterator[Settings]:
    """Settings of the server, which ends with the block. There is no warehouse in it yet.

    `options` are PostgreSQL's, beside those of FAST.
    """
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
                "SUPERSET_PORT": str(_free_port()),
                **{key: secrets.token_urlsafe(16) for key in GENERATED_SECRETS},
            },
        )
        settings = replace(settings, root=PROJECT_ROOT)
        home, _ = open_home(place / "postgres", place)
        initialise(home, settings.secret("WAREHOUSE_ADMIN_PASSWORD"))
        log = place / "postgres.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                server_command(home, settings.port, FAST | options),
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
            process.send_signal(
                signal.SIGINT
            )  # "fast": ends the sessions that a failed test left open
            process.wait(timeout=30)
        shutil.rmtree(place, ignore_errors=True)


def drop_database(settings: Settings, name: str) -> None:
    # As the administrator: only one may end an autovacuum that is at work in it.
    with psycopg.connect(settings.admin_dsn(), autocommit=True) as server:
        server.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(settings: Settings, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + patience(120)
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
    raise RuntimeError(f"The PostgreSQL of the tests did not start:\n{log.read_text()[-2000:]}")
