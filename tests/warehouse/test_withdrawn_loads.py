"""A withdrawn load leaves the models as if it had never landed, and gives "today" back."""

from __future__ import annotations

import random
import sys
from datetime import date, timedelta

import psycopg

from saas_analytics.landing import execution
from saas_analytics.landing.display import Display
from saas_analytics.landing.withdrawal import loads_of_day, withdraw
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect
from tests.warehouse.conftest import Build, differences, keep_copies, land_days
from tests.warehouse.random_company import FIRST_DAY, delivery, write_delivery

CHOSEN = ("--select", "+fact_events", "+fact_orders", "as_of")
MISTYPED = date(2062, 1, 20)
SENTINELS = ("0001-01-01T00:00:00+01:00", "9999-12-31T23:00:00-05:00", "2026-01-20T24:00:00Z")


def today(settings: Settings) -> date:
    with psycopg.connect(settings.dsn("owner")) as connection:
        row = connection.execute("select as_of from staging.as_of").fetchone()
    assert row
    return date.fromisoformat(str(row[0]))


def test_a_withdrawn_load_leaves_the_models_as_if_it_had_never_landed(
    warehouse: Settings, build: Build
) -> None:
    dice = random.Random(5)
    days = [FIRST_DAY + timedelta(days=n) for n in range(3)]
    for day in (*days, MISTYPED):
        rows = delivery(dice, day)
        for number, time in enumerate(SENTINELS):
            event = {"event_id": f"{day} {number}", "user_id": "u1", "event_type": "login"}
            rows.setdefault("events", []).append({**event, "event_timestamp": time})
        write_delivery(warehouse.landing_zone, day, rows)
    land_days(warehouse, *days)
    build(warehouse, "run", *CHOSEN)
    tables = keep_copies(warehouse)

    # Keys of the earlier days are in this load too, in newer versions.
    landed = execution.land_days(
        warehouse, None, MISTYPED, 1, Display(sys.stderr), allow_future=True
    )
    assert not any(outcome.status == "failed" for outcome in landed)
    build(warehouse, "run", *CHOSEN)
    assert today(warehouse) == MISTYPED and differences(warehouse, tables)

    with connect(warehouse, "loader", autocommit=True) as connection:
        with psycopg.connect(warehouse.dsn("owner")) as owner:
            query = "select distinct source from raw.loads where landed_on = %s order by 1"
            sources = [source for (source,) in owner.execute(query, [MISTYPED])]
        assert "events" in sources
        withdraw(
            connection,
            [load for source in sources for load in loads_of_day(connection, source, MISTYPED)],
        )
    build(warehouse, "run", *CHOSEN)
    assert today(warehouse) == days[-1]
    assert differences(warehouse, tables) == {}
    build(warehouse, "run", "--full-refresh", *CHOSEN)
    assert differences(warehouse, tables) == {}
