"""Law 1: after any landings in any order, the incremental models are row for row what a full refresh makes of the same raw data."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from infrastructure.settings import Settings
from tests.warehouse.conftest import Build, built_tables, differences, keep_copies, land_days, rows_of
from tests.warehouse.random_company import FIRST_DAY, Row, delivery, write_delivery

# More histories for the nightly run: HISTORIES=40 make test
HISTORIES = int(os.environ.get("HISTORIES", "5"))
Delivery = tuple[date, dict[str, list[Row]]]


def random_history(seed: int) -> list[list[Delivery]]:
    """Batches of deliveries: two large ones, then small ones. Days come in any order, some of them again with other rows."""
    dice = random.Random(seed)
    days = [FIRST_DAY + timedelta(days=n) for n in range(24)]
    large = [[(day, delivery(dice, day)) for day in dice.choices(days[:10], k=dice.choice((2, 4)))] for _ in range(2)]
    small = [[(day, delivery(dice, day, few=True)) for day in dice.choices(days, k=2)] for _ in range(6)]
    return large + small


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_incremental_builds_equal_a_full_refresh(warehouse: Settings, build: Build, seed: int) -> None:
    for batch in random_history(seed):
        for day, rows in batch:
            write_delivery(warehouse.landing_zone, day, rows)
            land_days(warehouse, day)
        build(warehouse, "run")
    tables = keep_copies(warehouse)
    build(warehouse, "run", "--full-refresh")
    found = differences(warehouse, tables)
    assert not found, f"history {seed}: not what a full refresh makes of the same raw data:\n" + "\n".join(
        f"{table}\n  " + "\n  ".join(lines) for table, lines in found.items()
    )


def test_the_order_of_landing_does_not_matter(new_warehouse: Callable[[], Settings], build: Build) -> None:
    dice = random.Random(2026)
    days = [FIRST_DAY + timedelta(days=n) for n in range(8)]
    deliveries = [(day, delivery(dice, day)) for day in days]
    in_order, shuffled = new_warehouse(), new_warehouse()
    for settings, order in ((in_order, deliveries), (shuffled, dice.sample(deliveries, len(deliveries)))):
        for position, (day, rows) in enumerate(order):
            write_delivery(settings.landing_zone, day, rows)
            land_days(settings, day)
            if position in (2, 7):
                build(settings, "run")
    tables = built_tables(in_order)
    assert tables == built_tables(shuffled)
    # Loads are numbered in the order in which they came; nothing else may tell the two apart.
    different = [table for table in tables if rows_of(in_order, table, frozenset({"_load_id"})) != rows_of(shuffled, table, frozenset({"_load_id"}))]
    assert not different


def test_landing_again_what_is_there_changes_nothing(warehouse: Settings, build: Build) -> None:
    dice = random.Random(7)
    days = [FIRST_DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        write_delivery(warehouse.landing_zone, day, delivery(dice, day))
    land_days(warehouse, *days)
    build(warehouse, "run")
    tables = keep_copies(warehouse)
    land_days(warehouse, *reversed(days))
    build(warehouse, "run")
    assert not differences(warehouse, tables)
