"""Concurrent landings: of new files, on a new day, in a new warehouse, with a new contract."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from saas_analytics.contracts import load_contract
from saas_analytics.landing.execution import prepare
from saas_analytics.landing.tables import ensure_file_partition, ensure_table, ensure_tables
from saas_analytics.settings import PROJECT_ROOT, Settings
from saas_analytics.warehouse import connect
from tests.integration.landing_help import DAY, command, deliver, put, query
from tests.server import drop_database
from tests.waiting import patience, wait_until

MAPPING = """
source: orders
columns: {order_id: id, customer_id: cust, ordered_at: ts, currency: cur}
"""
WAITING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'
"""


def shop(number: int) -> bytes:
    return f"id,cust,ts,cur\no{number},c1,2026-01-05T10:00:00Z,EUR\n".encode()


@pytest.mark.parametrize("what", ["partition", "table", "column"])
def test_what_another_session_creates_during_the_wait_is_found(
    warehouse: Settings, what: str
) -> None:
    """The session asks, waits for the lock of the one that creates, and asks again."""
    prepare(warehouse)
    contract = load_contract("orders")
    owner = psycopg.connect(warehouse.dsn("owner"), autocommit=True)
    if what == "table":
        owner.execute("drop table raw.orders cascade")
    elif what == "column":
        owner.execute("alter table raw.orders drop column tax_amount")

    def create(connection: psycopg.Connection) -> None:
        if what == "partition":
            ensure_file_partition(connection, contract, DAY)
        else:
            ensure_table(connection, contract)

    held = "raw.orders_d20260105_files" if what == "partition" else "raw.orders"
    loaders = [connect(warehouse, "loader", autocommit=True) for _ in range(4)]
    with owner, ThreadPoolExecutor(3) as pool:
        # The first creates it, in a transaction that stays open until the others wait for the lock.
        with loaders[0].transaction():
            loaders[0].execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [held])
            waiting = [pool.submit(create, one) for one in loaders[1:]]
            wait_until(lambda: owner.execute(WAITING).fetchone() == (3,))
            create(loaders[0])
        for one in waiting:
            one.result()
    for loader in loaders:
        loader.close()


def test_the_first_files_of_a_day_land_at_once(warehouse: Settings, tmp_path: Path) -> None:
    mapping = put(tmp_path, "map.yaml", MAPPING.encode())
    for back in range(3):
        numbers = range(back * 6, back * 6 + 6)
        files = [put(tmp_path, f"shop{number}.csv", shop(number)) for number in numbers]
        done = command(
            warehouse, "--mapping", mapping, "--day", DAY - timedelta(days=back), "--keep", *files
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert query(warehouse, "select count(*), count(distinct _partition) from raw.orders") == [
        (18, 3)
    ]


def at_once(settings: Settings, commands: Sequence[Sequence[object]]) -> list[str]:
    """Run land.py in as many processes; what they print. They must succeed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "data_gen/land.py", *map(str, arguments)],
            cwd=PROJECT_ROOT,
            env={**os.environ, **settings.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for arguments in commands
    ]
    printed = [process.communicate(timeout=patience(120))[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), printed
    return printed


def test_processes_land_in_a_warehouse_that_does_not_exist(
    warehouse: Settings, tmp_path: Path
) -> None:
    drop_database(warehouse, warehouse.database)
    mapping = put(tmp_path, "map.yaml", MAPPING.encode())
    files = [put(tmp_path, f"shop{number}.csv", shop(number)) for number in range(2)]
    deliver(warehouse, "users.csv", b"user_id,updated_at\nu1,2026-01-05\n")

    at_once(
        warehouse,
        [
            *(("--mapping", mapping, "--day", DAY, file) for file in files),
            ("--day", DAY),
        ],
    )

    assert query(warehouse, "select order_id from raw.orders order by 1") == [("o0",), ("o1",)]
    assert query(warehouse, "select user_id from raw.users") == [("u1",)]


def test_tasks_of_a_backfill_that_find_a_new_contract_create_its_table_once(
    warehouse: Settings,
) -> None:
    prepare(warehouse)
    with psycopg.connect(warehouse.dsn("owner"), autocommit=True) as owner:
        owner.execute("drop table raw.orders, raw.returns cascade")
    barrier = threading.Barrier(8)

    def task(_: int) -> None:
        with connect(warehouse, "loader", autocommit=True) as connection:
            barrier.wait(patience(60))
            ensure_tables(connection)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(task, range(8)))
    assert query(warehouse, "select count(*) from raw.orders, raw.returns") == [(0,)]
