"""A build rebuilds only the keys that new loads affect, and reads only the rows that these need."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psycopg

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, land_days, last_rebuilt, mutant
from tests.warehouse.random_company import FIRST_DAY, Row, delivery, write_delivery

PROJECT = PROJECT_ROOT / "dbt"
# For each table, the rows that events of the last day do not affect.
UNAFFECTED = {
    "staging.base_events": "_landed_on <> %(day)s",
    "core.fact_events": "event_date <> %(day)s",
    "core.int_user_days": "event_date <> %(day)s",
    "core.int_user_periods": "period_start < date_trunc(grain, %(day)s)",
    "core.fact_daily_events": "event_date <> %(day)s",
    "marts.active_users": "date_day <> %(day)s",
    "marts.growth_accounting": "period_start < date_trunc(grain, %(day)s)",
    "marts.sales_summary": "period_start < date_trunc(grain, %(day)s)",
    **dict.fromkeys(
        (
            *("core.dim_customers", "core.dim_users", "core.dim_products"),
            *(
                "core.fact_orders",
                "core.fact_order_items",
                "core.fact_payments",
                "core.fact_sessions",
            ),
        ),
        "%(day)s is not null",
    ),
}
# Tables with a row for each event. A build of one day needs few of them.
EVENTS = {"base_events": "staging.base_events", "fact_events": "core.fact_events"}


@dataclass(frozen=True)
class Contents:
    """The state of the built tables."""

    rebuilt: dict[str, int]  # when each model was last rebuilt
    # The positions of the unaffected rows, and the transactions that wrote them.
    places: dict[str, list[tuple[str, ...]]]
    events: dict[str, int]  # the number of rows of the event tables
    indexes: list[tuple[str, int]]  # of each table, without those of partitions


@dataclass(frozen=True)
class Reads:
    """What has been read so far."""

    scans: dict[str, int]  # by partition of raw
    rows: dict[str, int]  # by event table


def contents(settings: Settings, day: date) -> Contents:
    with psycopg.connect(settings.dsn("transformer")) as connection:
        places = {}
        for table, condition in UNAFFECTED.items():
            query = (
                "select tableoid::text, ctid::text, xmin::text"
                f" from {table} where {condition} order by 1, 2"
            )
            places[table] = connection.execute(query.encode(), {"day": day}).fetchall()
        events = {}
        for name, table in EVENTS.items():
            ((events[name],),) = connection.execute(
                f"select count(*) from {table}".encode()
            ).fetchall()
        indexes = connection.execute(
            "select indrelid::regclass::text, indexrelid"
            " from pg_index join pg_class on indrelid = pg_class.oid"
            " where relnamespace::regnamespace::text in ('staging', 'core', 'marts')"
            " and not relispartition"
        ).fetchall()
    return Contents(last_rebuilt(settings), places, events, indexes)


def reads(settings: Settings) -> Reads:
    with psycopg.connect(settings.dsn("transformer"), autocommit=True) as connection:
        # A session reports its reads when it ends, if not before: wait for the end of dbt's.
        connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and usename = current_user"
            " and pid <> pg_backend_pid()"
        )
        scans = connection.execute(
            "select relname, seq_scan + coalesce(idx_scan, 0) from pg_stat_all_tables"
            " where schemaname = 'raw' and relname ~ '_d[0-9]{8}_'"
        ).fetchall()
        rows = {}
        for name in EVENTS:
            ((rows[name],),) = connection.execute(
                "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint"
                " from pg_stat_all_tables where schemaname in ('staging', 'core')"
                " and relname ~ ('^' || %s || '(_[0-9]{4}_[0-9]{2})?$')",
                [name],
            ).fetchall()
    return Reads(dict(scans), rows)


def unneeded_work(settings: Settings, day: date, build: Callable[[], None]) -> list[str]:
    """The work of a build that the landed events of the day do not need."""
    before, read_before = contents(settings, day), reads(settings)
    assert all(before.places.values()), "a table has no unaffected rows"
    build()
    read, after = reads(settings), contents(settings, day)
    return [
        *(
            f"{model} was rebuilt"
            for model in after.rebuilt
            if after.rebuilt[model] != before.rebuilt[model]
        ),
        *(
            f"an index of {table} was created"
            for table, index in after.indexes
            if (table, index) not in before.indexes
        ),
        *(
            f"rows of {table} were written"
            for table in after.places
            if after.places[table] != before.places[table]
        ),
        *(
            f"{partition} of raw was read"
            for partition, scans in read.scans.items()
            if scans > read_before.scans[partition] and f"_d{day:%Y%m%d}_" not in partition
        ),
        *(
            f"all of {table} was read"
            for table, rows in before.events.items()
            if read.rows[table] - read_before.rows[table] >= rows
        ),
    ]


# Faults that make a build do most of the work of a full refresh and give the same rows: a file, a
# text in it, its replacement, and a message that finds the fault. LONG=1: all, not only the first.
FAULTS = {
    "every model is rebuilt": (
        "packages/exact/macros/exact.sql",
        "exact.reaches_back(state, upstreams)",
        "false",
        "fact_events was rebuilt",
    ),
    "every key is affected": (
        "packages/exact/macros/exact.sql",
        "{{ exact.affected_keys(sql, rebuild_key) }};",
        "{{ exact.affected_keys(sql, rebuild_key) }}"
        " union select {{ rebuild_key | join(', ') }} from {{ target }};",
        "all of fact_events was read",
    ),
    "every model is recomputed": (
        "packages/exact/macros/exact.sql",
        'state["definition"] == definition and',
        "false and",
        "all of fact_events was read",
    ),
    "new loads are looked for in all partitions": (
        "packages/exact/macros/landed.sql",
        "_partition in ('\" ~ partitions ~ \"') and ",
        "",
        " of raw was read",
    ),
}


def test_a_day_of_events_rebuilds_only_the_keys_that_it_affects(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    dice = random.Random(5)
    faults = list(FAULTS.items())[: None if "LONG" in os.environ else 1]
    days = [FIRST_DAY + timedelta(days=n) for n in range(8 + 1 + len(faults))]
    for day in days[:8]:
        rows = delivery(dice, day)
        many = [event(dice, day, number) for number in range(400)]
        write_delivery(
            warehouse.landing_zone, day, {**rows, "events": [*rows.get("events", ()), *many]}
        )
    land_days(warehouse, *days[:8])
    build(warehouse, "run")

    def work_of(day: date, *options: str, project: Path = PROJECT) -> list[str]:
        write_delivery(
            warehouse.landing_zone,
            day,
            {"events": [event(dice, day, number) for number in range(3)]},
        )
        land_days(warehouse, day)
        return unneeded_work(
            warehouse, day, lambda: build(warehouse, "run", *options, project=project)
        )

    assert work_of(days[8]) == []
    for day, (fault, (file, text, instead, expected)) in zip(days[9:], faults, strict=True):
        project = mutant(PROJECT, tmp_path / str(day), file, text, instead)
        found = work_of(day, "--select", "+fact_events", project=project)
        assert any(expected in line for line in found), f"{fault}: {found}"


def event(dice: random.Random, day: date, number: int) -> Row:
    """An event of the day, of one of many users."""
    return {
        "event_id": f"{day} {number}",
        "user_id": f"w{dice.randrange(150)}",
        "event_type": dice.choice(("login", "export_run", "view_product")),
        "event_timestamp": f"{day}T{dice.randrange(24):02}:00:00Z",
    }
