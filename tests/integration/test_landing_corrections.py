"""A corrected delivery counts from the day of its arrival, in whatever order days land."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from saas_analytics.contracts import load_contract
from saas_analytics.landing.execution import prepare
from saas_analytics.landing.zone import corrections, land_day
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect, ensure_warehouse
from tests.integration.landing_help import DAY, command, land, put, query, state

LATER = date(2026, 1, 8)
LATEST = date(2026, 1, 9)


def users(*names: str) -> bytes:
    return b"user_id,updated_at\n" + b"".join(f"{name},2026-01-05\n".encode() for name in names)


def deliver(
    settings: Settings, content: bytes, arrived: date = DAY, day: date = DAY, source: str = "users"
) -> Path:
    """Put the users of a day into the zone: as its first delivery, or as a corrected one."""
    zone = settings.landing_zone if arrived == day else corrections(settings.landing_zone, arrived)
    directory = zone / source / f"dt={day}"
    directory.mkdir(parents=True, exist_ok=True)
    return put(directory, f"{source}.csv", content)


def landed(settings: Settings) -> list[str]:
    return [name for (name,) in query(settings, "select user_id from raw.users order by 1")]


def test_the_daily_run_lands_what_arrives_on_its_day(warehouse: Settings) -> None:
    deliver(warehouse, users("first", "wrong"))
    deliver(warehouse, users("corrected"), LATER)
    deliver(warehouse, users("of the day"), LATER, LATER)
    assert command(warehouse, "--day", DAY).returncode == 0
    assert landed(warehouse) == ["first", "wrong"]

    done = command(warehouse, "--day", LATER)

    assert done.returncode == 0
    assert "users 2026-01-05, delivered again on 2026-01-08: replaced, 1 rows" in done.stdout
    assert landed(warehouse) == ["corrected", "of the day"]
    live = "select landed_on, delivered_on, superseded_by is null from raw.loads order by 1, 2"
    assert query(warehouse, live) == [(DAY, DAY, False), (DAY, LATER, True), (LATER, LATER, True)]


def test_an_older_delivery_lands_only_on_demand(warehouse: Settings) -> None:
    deliver(warehouse, users("first"))
    deliver(warehouse, users("corrected"), LATER)
    for day in (DAY, LATER):
        command(warehouse, "--day", day)

    reported = command(warehouse, "--day", DAY)
    machine = json.loads(command(warehouse, "--day", DAY, "--json").stdout)

    assert reported.returncode == 0
    assert (
        "nothing to do, an older delivery; a corrected one of 2026-01-08 has landed"
        in reported.stdout
    )
    assert [one["status"] for one in machine["outcomes"] if one["source"] == "users"] == [
        "unchanged"
    ]
    assert landed(warehouse) == ["corrected"]
    deliver(warehouse, users("first", "with other bytes"))
    command(warehouse, "--day", DAY)
    assert landed(warehouse) == ["corrected"]

    assert "replaced" in command(warehouse, "--day", DAY, "--again").stdout
    assert landed(warehouse) == ["first", "with other bytes"]
    command(warehouse, "--day", LATER)
    assert landed(warehouse) == ["corrected"]


def test_a_correction_that_is_landed_before_the_first_delivery_counts(warehouse: Settings) -> None:
    deliver(warehouse, users("first"))
    deliver(warehouse, users("corrected"), LATER)

    for day in (LATER, DAY):
        assert command(warehouse, "--day", day).returncode == 0

    assert landed(warehouse) == ["corrected"]


def test_a_directory_of_corrections_can_be_landed_as_a_zone(warehouse: Settings) -> None:
    deliver(warehouse, users("first"))
    deliver(warehouse, users("corrected"), LATER)
    directory = corrections(warehouse.landing_zone, LATER)

    assert command(warehouse, "--day", DAY, "--from", directory).returncode == 0

    assert "an older delivery" in command(warehouse, "--day", DAY).stdout
    assert landed(warehouse) == ["corrected"]
    assert (
        "is of a day before 2026-01-08"
        in command(warehouse, "--day", LATER, "--from", directory).stdout
    )


def test_the_same_bytes_delivered_again_are_the_newest_delivery(warehouse: Settings) -> None:
    deliver(warehouse, users("first"))
    deliver(warehouse, users("corrected"), LATER)
    deliver(warehouse, users("first"), LATEST)
    command(warehouse, "--day", DAY)

    assert "nothing to do" in command(warehouse, "--day", LATEST).stdout
    assert "an older delivery" in command(warehouse, "--day", LATER).stdout

    assert landed(warehouse) == ["first"]
    assert query(warehouse, "select delivered_on from raw.loads") == [(LATEST,)]


def test_half_a_correction_does_not_land(warehouse: Settings) -> None:
    """It would count more than a first delivery that lands after it."""
    path = deliver(warehouse, users("corrected"), LATER)
    put(path.parent, "users.more.csv", b"user_id\nlacks a required column\n")
    deliver(warehouse, users("first"))

    done = command(warehouse, "--day", LATER)

    assert done.returncode == 1
    assert (
        "updated_at is missing" in done.stdout
        and "Nothing of this correction landed" in done.stdout
    )
    assert landed(warehouse) == []
    assert command(warehouse, "--day", DAY).returncode == 0
    assert landed(warehouse) == ["first"]


@pytest.mark.parametrize(
    ("source", "day", "message"),
    [
        ("users", "2026-1-5", "that is not a day like 2026-01-31"),
        ("users", "2026-02-30", "that is not a day like 2026-01-31"),
        ("users", "2026-01-08", "a corrected delivery is of a day before 2026-01-08"),
        ("users", "2026-01-09", "a corrected delivery is of a day before 2026-01-08"),
        ("usres", "2026-01-05", "there is no contract for it"),
    ],
)
def test_an_invalid_correction_is_reported_and_the_others_land(
    warehouse: Settings, source: str, day: str, message: str
) -> None:
    directory = corrections(warehouse.landing_zone, LATER) / source / f"dt={day}"
    directory.mkdir(parents=True)
    put(directory, f"{source}.csv", users("x"))
    deliver(warehouse, users("corrected"), LATER)

    done = command(warehouse, "--day", LATER)

    assert done.returncode == 1
    assert message in done.stdout and "Traceback" not in done.stdout + done.stderr
    assert landed(warehouse) == ["corrected"]


def test_a_dry_run_of_a_correction_changes_nothing(warehouse: Settings) -> None:
    deliver(warehouse, users("first"))
    deliver(warehouse, users("first"), LATER)
    command(warehouse, "--day", DAY)
    before = state(warehouse)

    assert "nothing to do" in command(warehouse, "--day", LATER, "--dry-run").stdout

    assert state(warehouse) == before


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_deliveries_ends_in_the_same_state(
    new_warehouse: Callable[[], Settings], seed: int
) -> None:
    """Several corrections of each day, some with equal bytes; one order lands each twice."""
    chance = random.Random(seed)
    one, other = new_warehouse(), new_warehouse()
    deliveries: list[tuple[date, date]] = []
    for number in range(3):
        day = DAY + timedelta(days=number)
        for arrived in (
            day,
            *(day + timedelta(days=after) for after in sorted(chance.sample(range(1, 6), 3))),
        ):
            content = users(
                *(f"u{day.day}{chance.randrange(4)}" for _ in range(chance.randrange(3)))
            )
            content += chance.choice([b"", b"broken\n"])
            for settings in (one, other):
                deliver(settings, content, arrived, day)
            deliveries.append((arrived, day))

    for settings, order in (
        (one, sorted(deliveries)),
        (other, chance.sample(deliveries * 2, len(deliveries) * 2)),
    ):
        prepare(settings)
        with connect(settings, "loader", autocommit=True) as connection:
            for arrived, day in order:
                zone = (
                    settings.landing_zone
                    if arrived == day
                    else corrections(settings.landing_zone, arrived)
                )
                assert land_day(connection, load_contract("users"), day, zone).status != "failed"

    assert state(one) == state(other)
    assert state(one)["live loads"]


def test_a_warehouse_without_the_column_of_corrections_is_upgraded(warehouse: Settings) -> None:
    deliver(warehouse, users("first"))
    land(warehouse, "users")
    with connect(warehouse, "owner") as owner:
        owner.execute("alter table raw.loads drop column delivered_on")
        uncommented = f"comment on database {warehouse.database} is null"
        owner.execute(uncommented.encode())
    with pytest.raises(psycopg.errors.UndefinedColumn):
        query(warehouse, "select delivered_on from raw.loads")

    ensure_warehouse(warehouse)

    assert query(warehouse, "select landed_on, delivered_on from raw.loads") == [(DAY, DAY)]
    deliver(warehouse, users("corrected"), LATER)
    assert command(warehouse, "--day", LATER).returncode == 0
    assert landed(warehouse) == ["corrected"]
