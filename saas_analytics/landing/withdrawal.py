"""Takes loads back: their rows leave raw at once, and the models with the next build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg.rows import class_row

from saas_analytics.contracts import load_contract
from saas_analytics.landing.errors import LandingError
from saas_analytics.landing.tables import delete_load, detach, lock, zone_partition


@dataclass(frozen=True, slots=True)
class LiveLoad:
    """A load that can be withdrawn."""

    load_id: int
    source: str
    landed_on: date
    name: str | None  # of the external file; None for a day of the landing zone
    rows_landed: int
    content_sha256: str

    def line(self) -> str:
        what = f"file {self.name}" if self.name else "the landing zone"
        return (
            f"load {self.load_id}: {self.source} {self.landed_on}, from {what},"
            f" {self.rows_landed} rows"
        )


def loads_by_id(connection: psycopg.Connection, load_ids: Sequence[int]) -> list[LiveLoad]:
    """The live loads with these ids. LandingError if one of them is not a live load."""
    found = _live_loads(connection, "load_id = any(%s)", [list(load_ids)])
    if missing := sorted(set(load_ids) - {load.load_id for load in found}):
        raise LandingError(
            f"Load {', '.join(map(str, missing))} is not a live load: it does not exist, a later"
            " one replaced it, or it was withdrawn. Live loads are the rows of raw.loads in which"
            " superseded_by is null."
        )
    return found


def loads_of_day(connection: psycopg.Connection, source: str, day: date) -> list[LiveLoad]:
    """The live loads of a source that landed on a day. LandingError if there are none."""
    load_contract(source)
    found = _live_loads(connection, "source = %s and landed_on = %s", [source, day])
    if not found:
        raise LandingError(f"Nothing of {source} on {day} is in raw: there is nothing to withdraw.")
    return found


def withdraw(connection: psycopg.Connection, loads: Sequence[LiveLoad]) -> None:
    """Withdraw all of the loads, or none. The connection is in autocommit mode.

    A withdrawn load is superseded by itself, so models delete its rows. The load that it had
    replaced does not come back. LandingError if one of them is no longer live.
    """
    with connection.transaction(), connection.cursor() as cursor:
        # In the same order and with the same locks as a landing.
        for name in sorted({name for load in loads for name in _locks(load)}):
            lock(cursor, name)
        for load in loads:
            withdrawn = cursor.execute(
                "update raw.loads set superseded_by = load_id"
                " where load_id = %s and superseded_by is null",
                [load.load_id],
            ).rowcount
            if not withdrawn:
                raise LandingError(
                    f"Load {load.load_id} was replaced or withdrawn meanwhile. Nothing changed."
                )
            cursor.execute(
                "update raw.touched_days set rows_taken_away = rows_taken_away + rows_brought"
                " where load_id = %s",
                [load.load_id],
            )
            if load.name is None:
                partition = zone_partition(load.source, load.landed_on, load.load_id)
                detach(cursor, load_contract(load.source), partition)
            else:
                delete_load(cursor, load.source, load.landed_on, load.load_id)


def _locks(load: LiveLoad) -> tuple[str, ...]:
    if load.name is None:
        return (f"land {load.source} {load.landed_on}",)
    return tuple(f"land {load.source} {part}" for part in (load.name, load.content_sha256))


def _live_loads(
    connection: psycopg.Connection, condition: str, values: Sequence[object]
) -> list[LiveLoad]:
    query = f"""
        select load_id, source, landed_on, name, rows_landed, content_sha256
        from raw.loads where superseded_by is null and {condition} order by load_id
    """
    with connection.cursor(row_factory=class_row(LiveLoad)) as cursor:
        return cursor.execute(query.encode(), values).fetchall()
