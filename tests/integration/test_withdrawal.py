"""Loads that are taken back, and days that are refused: raw is as if they had not landed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from saas_analytics.landing.errors import LandingError
from saas_analytics.landing.withdrawal import loads_by_id, loads_of_day, withdraw
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect
from tests.integration.landing_help import DAY, command, deliver, land, land_external, put, query
from tests.integration.landing_help import state as state_of_raw
from tests.waiting import wait_until

USERS = b"user_id,updated_at\nu1,2026-01-05T10:00:00Z\nu2,2026-01-04T10:00:00Z\n"
MAPPING = b"source: users\ncolumns: {user_id: user_id, updated_at: updated_at}\n"


def test_a_withdrawn_day_leaves_raw_as_it_was(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    before = state_of_raw(warehouse)
    mistyped = date(2062, 1, 5)
    deliver(warehouse, "users.csv", USERS, mistyped)
    land(warehouse, "users", mistyped)

    done = command(
        warehouse, "--day", "2062-01-06", "--days", "1"
    )  # nothing is delivered, and the day is refused all the same
    assert done.returncode == 1 and "--allow-future" in done.stdout + done.stderr

    with connect(warehouse, "loader", autocommit=True) as connection:
        (load,) = loads_of_day(connection, "users", mistyped)
        assert (load.rows_landed, load.name) == (2, None)
        withdraw(connection, [load])
        with pytest.raises(LandingError, match="Nothing of users on 2062-01-05"):
            loads_of_day(connection, "users", mistyped)
        with pytest.raises(LandingError, match="was replaced or withdrawn meanwhile"):
            withdraw(connection, [load])
        with pytest.raises(LandingError, match=f"Load {load.load_id}, 99 is not a live load"):
            loads_by_id(connection, [load.load_id, 99])
    assert state_of_raw(warehouse) == before
    # It may land again.
    assert land(warehouse, "users", mistyped).status == "landed"


def test_a_withdrawn_file_leaves_the_other_files_of_its_day(
    warehouse: Settings, tmp_path: Path
) -> None:
    mapping = put(tmp_path, "map.yaml", MAPPING)
    land_external(warehouse, mapping, put(tmp_path, "one.csv", USERS), keep=True)
    before = state_of_raw(warehouse)
    path = put(tmp_path, "two.csv", USERS.replace(b"u1", b"u3"))
    (outcome,) = land_external(warehouse, mapping, path, keep=True)
    assert outcome.load_id

    with connect(warehouse, "loader", autocommit=True) as connection:
        withdraw(connection, loads_by_id(connection, [outcome.load_id]))
    assert state_of_raw(warehouse) == before
    assert land_external(warehouse, mapping, path, keep=True)[0].status == "landed"


def test_either_all_of_the_loads_are_withdrawn_or_none(warehouse: Settings) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    for day in days:
        deliver(warehouse, "users.csv", USERS, day)
        land(warehouse, "users", day)
    with connect(warehouse, "loader", autocommit=True) as connection:
        loads = [load for day in days for load in loads_of_day(connection, "users", day)]
        withdraw(connection, loads[1:])
        with pytest.raises(LandingError):
            withdraw(connection, loads)
    assert query(warehouse, "select count(*) from raw.users") == [(2,)]


def test_readers_pass_while_a_landing_waits_for_them(warehouse: Settings) -> None:
    """A reader with an open transaction delays a correction, and no other reader."""
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    deliver(warehouse, "users.csv", USERS.replace(b"u1", b"u9"))
    waiting = "select exists (select from pg_locks where not granted and relation is not null)"
    with (
        psycopg.connect(warehouse.dsn("owner")) as reader,
        psycopg.connect(warehouse.dsn("owner"), autocommit=True) as another,
        ThreadPoolExecutor(1) as pool,
    ):
        reader.execute("select count(*) from raw.users")
        landing = pool.submit(land, warehouse, "users")
        wait_until(lambda: another.execute(waiting).fetchone() == (True,))
        another.execute("set statement_timeout to '30s'")
        for _ in range(3):
            assert another.execute("select count(*) from raw.users").fetchone() == (2,)
        assert not landing.done()
        reader.rollback()
        assert landing.result().status == "replaced"


def test_days_after_tomorrow_are_refused(warehouse: Settings, tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    late = tomorrow + timedelta(days=2)  # not tomorrow, whenever the command starts
    deliver(warehouse, "users.csv", USERS, late)
    mapping = put(tmp_path, "map.yaml", MAPPING)
    file = put(tmp_path, "one.csv", USERS)
    for arguments in (
        ("--day", late),
        ("--day", late - timedelta(days=5), "--days", 6),
        ("--day", late, "--mapping", mapping, "--keep", file),
    ):
        refused = command(warehouse, *arguments)
        assert refused.returncode == 1
        assert f"{late} is after tomorrow" in refused.stderr and "Traceback" not in refused.stderr
        assert query(warehouse, "select to_regclass('raw.users') is null") == [(True,)] or query(
            warehouse, "select count(*) from raw.users"
        ) == [(0,)]
        assert command(warehouse, *arguments, "--allow-future").returncode == 0
        assert query(warehouse, "select count(*) > 0 from raw.users") == [(True,)]
        with connect(warehouse, "loader", autocommit=True) as connection:
            withdraw(connection, loads_of_day(connection, "users", late))
