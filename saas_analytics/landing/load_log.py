"""The load log: raw.loads, raw.touched_days and raw.rejects."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import orjson
from psycopg import sql
from psycopg.types.json import Jsonb

from saas_analytics.contracts import Contract
from saas_analytics.landing.files import Fingerprint
from saas_analytics.landing.records import Reject
from saas_analytics.landing.tables import Cursor, table_identifier

if TYPE_CHECKING:
    # The landing zone needs neither mappings nor their imports.
    from saas_analytics.landing.mapping import Mapping


@dataclass(frozen=True, slots=True)
class Counts:
    """The rows of a load. `read` is the sum of the others: nothing is lost."""

    landed: int = 0
    rejected: int = 0
    filtered: int = 0

    @property
    def read(self) -> int:
        return self.landed + self.rejected + self.filtered

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.landed + other.landed,
            self.rejected + other.rejected,
            self.filtered + other.filtered,
        )


@dataclass(frozen=True, slots=True)
class ZoneLoad:
    """The live load of a source and day, as the load log has it."""

    load_id: int
    landed_on: date
    delivered_on: date
    content_sha256: str
    sizes: dict[str, int]  # bytes by file name
    is_expired: bool  # its rows are no longer in raw


@dataclass(frozen=True, slots=True)
class FileLoad:
    """A landed external file, as the load log has it."""

    load_id: int
    landed_on: date
    name: str
    is_same: bool  # the same bytes by the same mapping


def zone_content(fingerprints: Sequence[Fingerprint]) -> str:
    """The digest of all files of a day. It changes with their bytes and their names."""
    listing = "".join(
        f"{entry.sha256}  {entry.name}\n"
        for entry in sorted(fingerprints, key=lambda one: one.name)
    )
    return hashlib.sha256(listing.encode()).hexdigest()


def live_zone_load(cursor: Cursor, source: str, day: date) -> ZoneLoad | None:
    """The live load of this day of the landing zone, if there is one."""
    row = cursor.execute(
        "select load_id, delivered_on, content_sha256, files, retired_at is not null from raw.loads"
        " where source = %s and landed_on = %s and origin = 'zone' and superseded_by is null",
        [source, day],
    ).fetchone()
    if row is None:
        return None
    load_id, delivered_on, content, files, is_expired = row
    sizes = {entry["name"]: entry["bytes"] for entry in files}  # type: ignore[attr-defined]
    return ZoneLoad(
        int(str(load_id)),
        day,
        delivered_on,  # type: ignore[arg-type]
        str(content),
        sizes,
        bool(is_expired),
    )


def live_file_loads(cursor: Cursor, mapping: Mapping, name: str, sha256: str) -> list[FileLoad]:
    """The live loads by this mapping of files with this name or these bytes, the oldest first."""
    rows = cursor.execute(
        "select load_id, landed_on, name,"
        " content_sha256 = %(sha256)s and mapping_sha256 = %(digest)s"
        " from raw.loads where source = %(source)s and origin = 'file' and superseded_by is null"
        " and (content_sha256 = %(sha256)s or name = %(name)s)"
        " and (mapping = %(mapping)s or mapping_sha256 = %(digest)s)"
        " order by load_id",
        {
            "source": mapping.contract.source,
            "sha256": sha256,
            "name": name,
            "mapping": mapping.name,
            "digest": mapping.digest,
        },
    ).fetchall()
    return [FileLoad(*row) for row in rows]  # type: ignore[arg-type]


def open_file_load(cursor: Cursor, mapping: Mapping, landed_on: date, name: str) -> int:
    """Insert the load of an external file, still without counts. Returns its load_id."""
    row = cursor.execute(
        "insert into raw.loads"
        " (source, landed_on, delivered_on, origin, name, mapping, mapping_sha256, files,"
        " content_sha256, started_at)"
        " values (%s, %s, %s, 'file', %s, %s, %s, '[]', '', clock_timestamp()) returning load_id",
        [mapping.contract.source, landed_on, landed_on, name, mapping.name, mapping.digest],
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def open_zone_load(cursor: Cursor, source: str, day: date, delivered_on: date) -> int:
    """Insert the load of a day, still without counts. Returns its load_id."""
    row = cursor.execute(
        "insert into raw.loads"
        " (source, landed_on, delivered_on, origin, files, content_sha256, started_at)"
        " values (%s, %s, %s, 'zone', '[]', '', clock_timestamp()) returning load_id",
        [source, day, delivered_on],
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def record_delivery(cursor: Cursor, load_id: int, delivered_on: date) -> None:
    """Record that the same files were delivered again on a later day."""
    cursor.execute(
        "update raw.loads set delivered_on = %s where load_id = %s", [delivered_on, load_id]
    )


def close_load(
    cursor: Cursor,
    load_id: int,
    files: Sequence[Fingerprint],
    content_sha256: str,
    counts: Counts,
    superseded: Sequence[int],
) -> None:
    """Fill in the files and counts of a load, and mark the loads that it replaces."""
    listing = [{"name": entry.name, "sha256": entry.sha256, "bytes": entry.size} for entry in files]
    cursor.execute(
        "update raw.loads set files = %s, content_sha256 = %s, rows_read = %s, rows_landed = %s,"
        " rows_rejected = %s, rows_left_out = %s, ended_at = clock_timestamp() where load_id = %s",
        [
            Jsonb(listing),
            content_sha256,
            counts.read,
            counts.landed,
            counts.rejected,
            counts.filtered,
            load_id,
        ],
    )
    cursor.execute(
        "update raw.loads set superseded_by = %s where load_id = any(%s)",
        [load_id, list(superseded)],
    )


def record_event_days(
    cursor: Cursor,
    contract: Contract,
    table: str,
    load_id: int,
    landed_on: date,
    superseded: Sequence[int],
    *,
    whole_table: bool,
) -> bool:
    """Write the event days that the load brings, and the replaced loads take away.

    `whole_table`: all rows of `table` are the load's. The rows are read for it, so it also returns
    whether a document has a member that the contract does not know.
    """
    # A separate query, because PostgreSQL reads in parallel only for a query that does not write,
    # and only if it does not expect as many days as rows.
    cursor.execute("set local parallel_tuple_cost = 0")
    cursor.execute("set local time zone 'UTC'")  # whatever PGTZ says
    # Days are passed as text: Python has none before the year 1 or after 9999, PostgreSQL has.
    cursor.execute("set local datestyle to ISO")
    found = cursor.execute(_brought(contract, table, load_id, landed_on, whole_table)).fetchall()
    # Rows without a readable day are filtered here; a condition would be checked for every row.
    days = [(day, count) for day, count, _ in found if day is not None]
    cursor.execute(
        _RECORD_DAYS,
        {
            "load_id": load_id,
            "source": contract.source,
            "days": [day for day, _ in days],
            "counts": [count for _, count in days],
            "superseded": list(superseded),
        },
    )
    return any(has_unknown for _, _, has_unknown in found)


_RECORD_DAYS = """
with brought as (
    select *
    from unnest(%(days)s::text[]::date[], %(counts)s::bigint[]) as one (event_day, row_count)
),

taken_away as (
    select event_day, sum(rows_brought) as row_count
    from raw.touched_days
    where load_id = any(%(superseded)s) and rows_brought > 0
    group by event_day
)

insert into raw.touched_days (load_id, source, event_day, rows_brought, rows_taken_away)
select
    %(load_id)s,
    %(source)s,
    event_day,
    coalesce(brought.row_count, 0),
    coalesce(taken_away.row_count, 0)
from brought
full join taken_away using (event_day)
"""

# Parsing the timestamps costs a third of the COPY. The day is in the text itself if the time is in
# UTC and not in the last second of the day (23:59:60 and 23:59:59.9999999 belong to the next day):
# such rows are counted by that text, and only it is parsed. A wrong time may affect one day too
# many, never one too few.
# The work for each row is in the innermost query, which the planner merges into the grouping: the
# workers of a parallel query do it. Trimming costs more than that, so it waits for the groups.
_BROUGHT_BY_TIME = """
select
    event_day::text as event_day,
    sum(row_count)::bigint as row_count,
    bool_or(has_unknown) as has_unknown
from (
    select
        case {event_day} end as event_day,
        row_count,
        has_unknown
    from (
        select
            btrim(event_time, e' \\t\\r\\n\\u00a0\\u200b\\ufeff') as moment,
            row_count,
            has_unknown
        from (
            select
                case
                    when
                        {event_time} like '____-__-__%Z'
                        and substr({event_time}, 12, 8) collate "C" < '23:59:59'
                        then left({event_time}, 10)
                    else {event_time}
                end as event_time,
                bool_or({unknown}) as has_unknown,
                count(*) as row_count
            from {table} {where}
            group by 1
        ) as times
    ) as moments
) as days
group by event_day
"""
_DAY_OF_TIME = """
    when moment ~ '^\\d{4}-\\d{2}-\\d{2}' and pg_input_is_valid(moment, 'timestamptz')
        then (cast(moment as timestamptz) at time zone 'UTC')::date
"""
# A date is the written one, whatever hour and offset follow it.
_DAY_OF_DATE = """
    when moment ~ '^\\d{4}-\\d{2}-\\d{2}' and pg_input_is_valid(left(moment, 10), 'date')
        then cast(left(moment, 10) as date)
"""
_BROUGHT_BY_LANDING = """
select {landed_on}::date::text as event_day, count(*) as row_count, false as has_unknown
from {table} {where}
having count(*) > 0
"""


def _brought(
    contract: Contract, table: str, load_id: int, landed_on: date, whole_table: bool
) -> sql.Composed:
    source: dict[str, sql.Composable] = {"table": table_identifier(table), "where": sql.SQL("")}
    if not whole_table:
        source["where"] = sql.SQL("where _load_id = {}").format(sql.Literal(load_id))
    if contract.event_time is None:
        return sql.SQL(_BROUGHT_BY_LANDING).format(
            landed_on=sql.Literal(landed_on.isoformat()), **source
        )
    if contract.payload == "document":
        event_time = sql.SQL("_doc ->> {}").format(sql.Literal(contract.event_time))
        known = sql.Literal(list(contract.column_names))
        source["unknown"] = sql.SQL("_doc - {}::text[] <> '{{}}'").format(known)
    else:
        source["unknown"] = sql.SQL("false")
        event_time = sql.SQL("{}").format(sql.Identifier(contract.event_time))
    is_date = contract.column(contract.event_time).logical_type == "date"
    source["event_day"] = sql.SQL(_DAY_OF_DATE if is_date else _DAY_OF_TIME)
    return sql.SQL(_BROUGHT_BY_TIME).format(event_time=event_time, **source)


class RejectBuffer:
    """Collects rejects while a COPY occupies the connection: in memory, beyond 4 MiB in a file."""

    def __init__(self) -> None:
        self.count = 0
        # Closed in __exit__.
        self._spool = tempfile.SpooledTemporaryFile(max_size=4 * 1024 * 1024)  # noqa: SIM115

    def add(self, file_name: str, reject: Reject) -> None:
        self.count += 1
        self._spool.write(
            orjson.dumps([file_name, reject.line, reject.reason, reject.original]) + b"\n"
        )

    def entries(self) -> Iterator[tuple[str, int, str, str]]:
        self._spool.seek(0)
        for line in self._spool:
            file_name, number, reason, original = orjson.loads(line)
            yield file_name, number, reason, original

    def write(self, cursor: Cursor, load_id: int, source: str, landed_on: date) -> None:
        """Write the collected rejects to raw.rejects."""
        if not self.count:
            return
        statement = (
            "copy raw.rejects (load_id, source, landed_on, file, line, reason, original) from stdin"
        )
        with cursor.copy(statement) as copy:
            for entry in self.entries():
                copy.write_row((load_id, source, landed_on, *entry))

    def __enter__(self) -> RejectBuffer:
        return self

    def __exit__(self, *error: object) -> None:
        self._spool.close()
