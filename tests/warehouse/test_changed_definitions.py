"""A changed definition in the real project: no model is rebuilt, and only changed rows are written.

tests/warehouse/test_exact_package.py has each case by itself, in the package's small example.
"""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import psycopg

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import (
    Build,
    copy_of,
    differences,
    keep_copies,
    land_days,
    last_rebuilt,
    mutant,
)
from tests.warehouse.random_company import FIRST_DAY, delivery, write_delivery

PROJECT = PROJECT_ROOT / "dbt"
CHOSEN = ("--select", "+fact_events", "+int_exchange_rates")
OTHER_DAY = FIRST_DAY + timedelta(days=1)
# Changes of a model that reads loads, one of versions, and one with partitions. The first two give
# the same rows.
CHANGES = (
    (
        "models/staging/base/base_events.sql",
        "{{ tidy('raw_device') }}",
        "{{ tidy('raw_device') }} || ''",
    ),
    ("models/core/dim_users.sql", "valid_to is null as", "not valid_to is not null as"),
    (
        "models/core/fact_events.sql",
        "events.is_late,",
        f"events.is_late or events.event_date = cast('{OTHER_DAY}' as date) as is_late,",
    ),
)


def state(settings: Settings) -> list[tuple[str, ...]]:
    query = "select model, definition, rebuilt_seq, last_seq from change_feed.models order by 1"
    with psycopg.connect(settings.dsn("owner")) as connection:
        return connection.execute(query).fetchall()


def places(settings: Settings) -> dict[str, list[tuple[str, ...]]]:
    """The positions of the rows that CHANGES leave alone, and the transactions that wrote them."""
    query = "select tableoid::text, ctid::text, xmin::text from %s where %s order by 1, 2"
    tables = {"staging.base_events": "true", "core.dim_users": "true"}
    tables["core.fact_events"] = f"event_date <> '{OTHER_DAY}' or is_late"
    with psycopg.connect(settings.dsn("owner")) as connection:
        return {
            table: connection.execute((query % (table, condition)).encode()).fetchall()
            for table, condition in tables.items()
        }


def test_a_renamed_marker_and_a_changed_definition_rebuild_nothing(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    dice = random.Random(12)
    for day in (FIRST_DAY + timedelta(days=n) for n in range(4)):
        rows = delivery(dice, day)
        on_time = {"event_id": f"on {day}", "user_id": "u1", "event_type": "login"}
        rows.setdefault("events", []).append({**on_time, "event_timestamp": f"{day}T09:00:00Z"})
        write_delivery(warehouse.landing_zone, day, rows)
        land_days(warehouse, day)
    build(warehouse, "run", *CHOSEN)
    before, kept = state(warehouse), places(warehouse)

    renamed = copy_of(PROJECT, tmp_path / "renamed")
    for file in [*renamed.glob("models/**/*.sql"), *renamed.glob("packages/exact/macros/*.sql")]:
        text = file.read_text().replace("affected_when", "affects_keys")
        file.write_text(text.replace("affected_by", "affects"))
    build(warehouse, "run", *CHOSEN, project=renamed)
    assert state(warehouse) == before

    changed = PROJECT
    for number, change in enumerate(CHANGES):
        changed = mutant(changed, tmp_path / str(number), *change)
    rebuilt = last_rebuilt(warehouse)
    build(warehouse, "run", *CHOSEN, project=changed)
    assert last_rebuilt(warehouse) == rebuilt
    both = list(zip(before, state(warehouse), strict=True))
    assert {now[0] for was, now in both if now[1] != was[1]} == {
        Path(file).stem for file, *_ in CHANGES
    }
    assert {now[0] for was, now in both if now[3] != was[3]} == {"fact_events"}
    after = places(warehouse)
    # The rows of that day are written again, and no others.
    events = kept.pop("core.fact_events")
    assert events and set(events) <= set(after.pop("core.fact_events"))
    assert after == kept
    tables = keep_copies(warehouse)
    build(warehouse, "run", "--full-refresh", *CHOSEN, project=changed)
    assert not differences(warehouse, tables)
