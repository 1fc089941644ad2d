"""Landing and staging parse a raw text alike: the affected days of a load are those of its rows."""

from __future__ import annotations

import sys
import unicodedata
from datetime import timedelta

import psycopg

from saas_analytics.settings import Settings
from tests.warehouse.conftest import Build, land_days
from tests.warehouse.random_company import FIRST_DAY, Row, write_delivery

# Invisible characters that may surround a text. NUL and surrogates never land.
INVISIBLE = [
    character
    for character in map(chr, range(1, sys.maxunicode + 1))
    if unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf")
]


def test_a_date_is_the_day_in_its_text(warehouse: Settings, build: Build) -> None:
    dates = {
        "2026-01-10": "2026-01-10",
        "2026-01-12T23:30:00-05:00": "2026-01-12",  # the next day in UTC
        "2026-01-14T01:00:00+05:00": "2026-01-14",  # the day before in UTC
        "2026-01-16T12:00:00Z": "2026-01-16",
    }
    rows: list[Row] = [{"product_id": "p", "stock_date": text, "on_hand": "1"} for text in dates]
    write_delivery(warehouse.landing_zone, FIRST_DAY, {"inventory": rows})
    land_days(warehouse, FIRST_DAY)
    build(warehouse, "run", "--select", "+stg_inventory")
    with psycopg.connect(warehouse.dsn("owner")) as connection:
        affected = connection.execute(
            "select event_day::text from raw.touched_days order by 1"
        ).fetchall()
        accepted = connection.execute(
            "select stock_date::text from staging.stg_inventory order by 1"
        ).fetchall()
    assert affected == accepted == [(day,) for day in dates.values()]


def test_the_day_of_an_accepted_row_is_an_affected_day_of_its_load(
    warehouse: Settings, build: Build
) -> None:
    # One source whose rows land as documents, and one whose rows land as columns.
    rows: dict[str, list[Row]] = {"events": [], "users": []}
    for number, character in enumerate(["", *INVISIBLE]):
        time = f"{character}{FIRST_DAY - timedelta(days=number)}T09:00:00Z{character}"
        rows["events"].append(
            {
                "event_id": f"e{number}",
                "user_id": "u",
                "event_type": "login",
                "event_timestamp": time,
            }
        )
        rows["users"].append({"user_id": "u", "updated_at": time})
    write_delivery(warehouse.landing_zone, FIRST_DAY, rows)
    land_days(warehouse, FIRST_DAY)
    build(warehouse, "run", "--select", "+stg_events", "+stg_users")
    with psycopg.connect(warehouse.dsn("owner")) as connection:
        for source, moment in (("events", "event_timestamp"), ("users", "updated_at")):
            affected = connection.execute(
                "select event_day from raw.touched_days where source = %s order by 1", [source]
            ).fetchall()
            accepted = connection.execute(
                f"select cast({moment} at time zone 'UTC' as date)"
                f" from staging.stg_{source} order by 1".encode()
            ).fetchall()
            # Only some of the characters are trimmed. Staging rejects the other rows, and landing
            # records no day for them.
            assert 1 < len(affected) < len(rows[source])
            assert affected == accepted, source
