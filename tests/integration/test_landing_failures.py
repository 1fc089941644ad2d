"""Failures outside of landing: the connection at COMMIT, the disk. A second run succeeds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import psycopg
import pytest

from saas_analytics.contracts import load_contract
from saas_analytics.landing.display import Display
from saas_analytics.landing.execution import Task, land_files, prepare, run
from saas_analytics.landing.external import land_file
from saas_analytics.landing.mapping import load_mappings
from saas_analytics.landing.outcome import Outcome
from saas_analytics.landing.zone import Observer, land_day
from saas_analytics.settings import Settings
from saas_analytics.stack.account import server_account
from saas_analytics.warehouse import WarehouseError
from tests.integration.landing_help import (
    DAY,
    MAPPINGS,
    command,
    deliver,
    land,
    land_external,
    put,
    query,
    statuses,
)
from tests.server import drop_database

USERS = b"user_id,updated_at\nu1,2026-01-05\nu2,2026-01-05\n"
When = Literal["before", "after"]


class CutAtCommit:
    """A proxy of the server that fails at the first COMMIT once it is armed.

    It fails before the COMMIT arrives at the server, or before the answer arrives at the client.
    """

    def __init__(self, settings: Settings, when: When) -> None:
        self._settings, self._when = settings, when
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.settings = replace(settings, port=self._listener.getsockname()[1])
        self.armed = threading.Event()
        self.cut = threading.Event()
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._settings.host, self._settings.port))
                self._sockets += [client, server]
                threading.Thread(
                    target=self._pump, args=(client, server, True), daemon=True
                ).start()
                threading.Thread(
                    target=self._pump, args=(server, client, False), daemon=True
                ).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if is_client and self.armed.is_set() and b"COMMIT" in data:
                    self.cut.set()
                    if self._when == "before":
                        break
                # The answer to COMMIT: the server has committed, and the client does not know.
                if not is_client and self.cut.is_set():
                    break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for one in self._sockets:
            one.close()


@pytest.fixture(params=["before", "after"])
def cut_at_commit(warehouse: Settings, request: pytest.FixtureRequest) -> Iterator[CutAtCommit]:
    prepare(warehouse)
    proxy = CutAtCommit(warehouse, request.param)
    yield proxy
    proxy.close()


def run_one(
    proxy: CutAtCommit,
    land: Callable[[psycopg.Connection, Callable[[str, int], None]], list[Outcome]],
) -> Outcome:
    def arm(step: str, size: int) -> None:
        if step == "before commit":
            proxy.armed.set()

    task = Task(Outcome("users", DAY, "failed"), 0, lambda connection, _: land(connection, arm))
    (outcome,) = run(proxy.settings, [task], Display(sys.stderr))
    assert proxy.cut.is_set()
    return outcome


def test_connection_lost_at_commit_of_a_day(
    warehouse: Settings, cut_at_commit: CutAtCommit, request: pytest.FixtureRequest
) -> None:
    deliver(warehouse, "users.csv", USERS)

    outcome = run_one(
        cut_at_commit,
        lambda connection, observe: [
            land_day(connection, load_contract("users"), DAY, warehouse.landing_zone, observe)
        ],
    )

    assert outcome.status == "failed"
    assert "was lost" in outcome.message and "Run this again" in outcome.message
    committed = "after" in request.node.name
    assert query(warehouse, "select count(*) from raw.users") == [(2 if committed else 0,)]
    assert land(warehouse, "users").status == ("unchanged" if committed else "landed")
    assert query(warehouse, "select count(*), count(distinct user_id) from raw.users") == [(2, 2)]
    assert query(warehouse, "select count(*) from raw.loads") == [(1,)]


def test_an_older_server_is_refused(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(warehouse)
    monkeypatch.setattr("saas_analytics.warehouse._OLDEST_SERVER", 990_000)
    with pytest.raises(WarehouseError, match=r"has version \d+, and this needs 99 or newer"):
        prepare(warehouse)


def test_a_session_that_lands_has_limits(warehouse: Settings) -> None:
    prepare(warehouse)
    limits: dict[str, str] = {}

    def read(connection: psycopg.Connection, observe: Observer) -> list[Outcome]:
        for name in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
            ((limits[name],),) = connection.execute(f"show {name}".encode()).fetchall()
        return []

    run(warehouse, [Task(Outcome("users", DAY, "failed"), 0, read)], Display(sys.stderr))
    assert limits == {
        "statement_timeout": "1d",
        "idle_in_transaction_session_timeout": "30min",
        "lock_timeout": "0",
    }


def test_a_fault_of_the_program_fails_its_item_alone(
    warehouse: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(warehouse)
    deliver(warehouse, "users.csv", USERS)

    def fault(connection: psycopg.Connection, observe: Observer) -> list[Outcome]:
        raise IndexError("list index\nout of range")

    def users(connection: psycopg.Connection, observe: Observer) -> list[Outcome]:
        return [land_day(connection, load_contract("users"), DAY, warehouse.landing_zone, observe)]

    failure = Outcome("orders", DAY, "failed")
    tasks = [Task(failure, 0, fault), Task(replace(failure, source="users"), 0, users)]
    outcomes = {outcome.source: outcome for outcome in run(warehouse, tasks, Display(sys.stderr))}

    assert statuses([outcomes["users"], outcomes["orders"]]) == ["landed", "failed"]
    assert "IndexError: list index out of range" in outcomes["orders"].message
    assert "Traceback" in capsys.readouterr().err


def test_a_file_that_vanishes_while_files_are_listed_fails_alone(
    warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = put(
        tmp_path,
        "map.yaml",
        b"source: users\ncolumns: {user_id: user_id, updated_at: updated_at}\n",
    )
    files = [put(tmp_path, f"{name}.csv", USERS) for name in ("gone", "there")]
    is_file = Path.is_file

    def is_file_then_vanish(path: Path) -> bool:
        there = is_file(path)
        if path.name == "gone.csv":
            path.unlink(missing_ok=True)
        return there

    monkeypatch.setattr(Path, "is_file", is_file_then_vanish)
    outcomes = land_files(warehouse, mapping, files, DAY, Display(sys.stderr), keep=True)

    assert sorted(statuses(outcomes)) == ["failed", "landed"]
    (failed,) = (outcome for outcome in outcomes if outcome.status == "failed")
    assert failed.name == "gone.csv" and "gone.csv" in failed.message


def test_connection_lost_at_commit_of_a_file(
    warehouse: Settings, cut_at_commit: CutAtCommit, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    mapping = MAPPINGS / "user_activity.yaml"
    path = put(
        tmp_path, "a.json", b'[{"user_id": "u1", "action_type": "x", "timestamp": "2026-01-05"}, 5]'
    )

    outcome = run_one(
        cut_at_commit,
        lambda connection, observe: land_file(
            connection, load_mappings(mapping), path, DAY, observe=observe
        ),
    )

    assert outcome.status == "failed"
    assert path.exists()
    committed = "after" in request.node.name
    assert statuses(land_external(warehouse, mapping, path)) == [
        "unchanged" if committed else "landed"
    ]
    assert query(
        warehouse, "select (select count(*) from raw.events), (select count(*) from raw.rejects)"
    ) == [(1, 1)]
    assert not path.exists()
    assert "not_an_object" in (tmp_path / "processed/error_records.json").read_text()


@pytest.fixture
def small_disk(
    warehouse: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], None]]:
    """New tables of the warehouse are on a disk of 24 MB. Yields a function that resizes it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = Path("/tmp") / warehouse.database  # the server's user has access there
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    space = f"small_{warehouse.database}"
    admin = psycopg.connect(warehouse.admin_dsn(), autocommit=True)
    try:
        server_account().own(place, 0o700)
        admin.execute(f"create tablespace {space} location '{place}'")
        admin.execute(f"grant create on tablespace {space} to loader")
        admin.execute(f"alter database {warehouse.database} set default_tablespace to {space}")

        def resize(size: str) -> None:
            subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)

        yield resize
    finally:
        drop_database(warehouse, warehouse.database)
        admin.execute(f"drop tablespace if exists {space}")
        admin.close()
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def test_disk_full(warehouse: Settings, small_disk: Callable[[str], None]) -> None:
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    row = "{},2026-01-05T10:00:00Z," + "x" * 200 + "\n"
    rows = "".join(row.format(number) for number in range(150_000))
    deliver(warehouse, "users.csv", f"user_id,updated_at,full_name\n{rows}".encode())

    full = command(warehouse, "--day", DAY)

    assert full.returncode == 1
    assert f"the disk of PostgreSQL at {warehouse.host}:{warehouse.port} is full" in full.stdout
    assert "Traceback" not in full.stdout + full.stderr
    assert query(warehouse, "select count(*) from raw.users") == [(2,)]
    assert query(warehouse, "select count(*) from raw.loads") == [(1,)]
    small_disk("100m")
    assert command(warehouse, "--day", DAY).returncode == 0
    assert query(warehouse, "select count(*), count(distinct user_id) from raw.users") == [
        (150_000, 150_000)
    ]


def test_a_record_that_is_too_long_is_one_reject_whichever_way_reads_it(
    warehouse: Settings,
) -> None:
    """Over 16 MiB. The longest record that is read bounds the memory of landing."""
    long = b'{"event_id": "long", "x": "' + b"y" * (17 * 1024 * 1024) + b'"}'
    other = date(2026, 1, 6)
    deliver(warehouse, "events.jsonl", b'{"event_id": "a"}\n' + long + b'\n{"event_id": "b"}\n')
    deliver(
        warehouse,
        "events.jsonl",
        b'{"event_id": "a"}\n{\n' + long + b'\n{"event_id": "b"}\n',
        other,
    )
    deliver(
        warehouse,
        "users.csv",
        b"user_id,updated_at\nu1,2026\n" + b"x" * (17 * 1024 * 1024) + b"\nu2,2026\n",
    )

    counts = [
        land(warehouse, "events").counts,
        land(warehouse, "events", other).counts,
        land(warehouse, "users").counts,
    ]

    assert [(one.landed, one.rejected) for one in counts] == [(2, 1), (2, 2), (2, 1)]
    assert query(
        warehouse,
        "select source, landed_on, line, length(original) < 300000, right(original, 20)"
        " from raw.rejects where reason = 'too_long' order by load_id",
    ) == [
        ("events", DAY, 2, True, f"yyy... ({len(long)} bytes)"[-20:]),
        ("events", other, 3, True, f"yyy... ({len(long)} bytes)"[-20:]),
        ("users", DAY, 3, True, f"xxx... ({17 * 1024 * 1024} bytes)"[-20:]),
    ]
