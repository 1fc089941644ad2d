"""A PostgreSQL server with all roles for the tests and `make bench`.

It is on a free port and in a temporary directory.
"""

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

# A test's server need not survive a power cut. Its other settings are those of the embedded stack.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "1GB",
}


@contextmanager
def running_server(**options: str) -> Iterator[Settings]:
    """Settings of the server, which ends with the block. It has no warehouse yet.

    `options` are settings of PostgreSQL in addition to FAST.
    """
    place = Path(tempfile.mkdtemp(prefix="saas-analytics-test-"))
    place.chmod(0o755)  # if root runs the tests, the server has another user
    process = None
    try:
        settings = load_settings(
            place,  # not the project: its .env is the developer's
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
            # The fast shutdown ends the sessions that a failed test left open.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        shutil.rmtree(place, ignore_errors=True)


def drop_database(settings: Settings, name: str) -> None:
    # As the administrator, who may end an autovacuum that works in it.
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
