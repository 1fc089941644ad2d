"""The raw tables and their partitions: created from the contracts, swapped whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date

import psycopg
from psycopg import errors, sql

from saas_analytics.contracts import SOURCES, Contract, load_contract
from saas_analytics.landing.errors import LandingError

Cursor = psycopg.Cursor[tuple[object, ...]]
LOCK_PATIENCE = 600  # seconds
_BOOKKEEPING = (
    ("_file", "text"),
    ("_line", "bigint"),
    ("_load_id", "bigint"),
    ("_partition", "text"),
)


def payload_columns(contract: Contract) -> tuple[tuple[str, str], ...]:
    """Name and type of the columns with the data itself."""
    if contract.payload == "document":
        return (("_doc", "jsonb"),)
    return (*((name, "text") for name in contract.column_names), ("_extra", "jsonb"))


def ensure_table(connection: psycopg.Connection, contract: Contract) -> None:
    """Create the raw table of a contract if it is missing, and add the contract's new columns.

    This is a separate transaction, so that no landing locks the table while it copies.
    """
    wanted = (*payload_columns(contract), *_BOOKKEEPING)
    with connection.transaction(), connection.cursor() as cursor:
        if _missing(cursor, contract.source, wanted) == ():
            return
        lock(cursor, f"raw.{contract.source}")
        missing = _missing(cursor, contract.source, wanted)
        if missing is None:
            cursor.execute(
                sql.SQL("create table {} ({}, {}) partition by list (_partition)").format(
                    table_identifier(contract.source), _definitions(wanted), _object_check(contract)
                )
            )
        if missing:
            lock_table(cursor, contract.source)
        for name, kind in missing or ():
            cursor.execute(
                sql.SQL("alter table {} add column {} {}").format(
                    table_identifier(contract.source), sql.Identifier(name), sql.SQL(kind)
                )
            )


def ensure_tables(connection: psycopg.Connection) -> None:
    """Create the raw tables of all contracts, so that readers find them before anything lands."""
    for source in SOURCES:
        ensure_table(connection, load_contract(source))


def zone_partition(source: str, day: date, load_id: int) -> str:
    """The name of the table with the rows of a load of the landing zone."""
    return f"{source}_d{day:%Y%m%d}_l{load_id}"


def create_zone_partition(cursor: Cursor, contract: Contract, day: date, load_id: int) -> str:
    """Create the table for a load, not yet as a partition. Returns its name.

    Its defaults fill in every column but the payload and _file.
    """
    name = zone_partition(contract.source, day, load_id)
    value = sql.Literal(day.isoformat())
    cursor.execute(sql.SQL("create temporary sequence if not exists landing_line cache 1000"))
    _create_future_partition(cursor, contract, name, value)
    cursor.execute(
        sql.SQL(
            "alter table {} alter _load_id set default {}, "
            "alter _partition set default {}, alter _line set default nextval({}::regclass)"
        ).format(
            table_identifier(name), sql.Literal(load_id), value, sql.Literal("pg_temp.landing_line")
        )
    )
    return name


def file_partition(source: str, day: date) -> str:
    """The name of the table with the external files that arrived on this day."""
    return f"{source}_d{day:%Y%m%d}_files"


def ensure_file_partition(connection: psycopg.Connection, contract: Contract, day: date) -> str:
    """Create the partition for the external files that arrive on this day. Returns its name."""
    name = file_partition(contract.source, day)
    with connection.transaction(), connection.cursor() as cursor:
        if _exists(cursor, name):
            return name
        lock(cursor, f"raw.{name}")
        if not _exists(cursor, name):
            value = sql.Literal(file_partition_value(day))
            _create_future_partition(cursor, contract, name, value)
            cursor.execute(
                sql.SQL("alter table {} attach partition {} for values in ({})").format(
                    table_identifier(contract.source), table_identifier(name), value
                )
            )
    return name


def file_partition_value(day: date) -> str:
    """The value of _partition in the rows of external files that arrived on this day."""
    return f"{day.isoformat()}/files"


def delete_load(cursor: Cursor, source: str, landed_on: date, load_id: int) -> None:
    """Delete the rows of a load of an external file; an expired load has none."""
    name = file_partition(source, landed_on)
    if _exists(cursor, name):
        cursor.execute(
            sql.SQL("delete from {} where _load_id = %s").format(table_identifier(name)), [load_id]
        )


def begin_file(cursor: Cursor, partition: str, file_name: str) -> None:
    """Rows that are inserted into the partition from now on belong to this file."""
    cursor.execute(
        sql.SQL("alter table {} alter _file set default {}").format(
            table_identifier(partition), sql.Literal(file_name)
        )
    )


def number_from(cursor: Cursor, line: int) -> None:
    """Rows without a line are numbered from this one on."""
    cursor.execute("select setval('pg_temp.landing_line', %s, false)", [line])


def attach(
    cursor: Cursor, contract: Contract, partition: str, value: str, replaced: str | None
) -> None:
    """Make the table a partition, and drop the partition that it replaces.

    Readers wait from here to the commit, which is next, but not while the rows are copied.
    """
    parent = table_identifier(contract.source)
    child = table_identifier(partition)
    cursor.execute(
        sql.SQL("alter table {} alter _line drop default, alter _file drop default").format(child)
    )
    if replaced is not None:
        detach(cursor, contract, replaced)
    # The CHECK implies the bound of the partition, so the rows are not read again.
    cursor.execute(
        sql.SQL("alter table {} attach partition {} for values in ({})").format(
            parent, table_identifier(partition), sql.Literal(value)
        )
    )


def detach(cursor: Cursor, contract: Contract, partition: str) -> None:
    """Drop a partition with its rows. An expired load has none.

    Readers of the table wait until the end of the transaction.
    """
    if not _exists(cursor, partition):
        return
    parent = table_identifier(contract.source)
    # The strongest lock first: two landings with a weaker one would wait for each other.
    lock_table(cursor, contract.source)
    cursor.execute(
        sql.SQL("alter table {} detach partition {}").format(parent, table_identifier(partition))
    )
    cursor.execute(sql.SQL("drop table {}").format(table_identifier(partition)))


def lock_table(cursor: Cursor, source: str, patience: float = LOCK_PATIENCE) -> None:
    """Lock the table of a source against everybody else, until the end of the transaction.

    Readers queue behind a session that waits for this lock. So it waits for a second at a time, and
    lets them pass in between. LandingError with the sessions that read it after `patience` seconds.
    """
    statement = sql.SQL("lock table {} in access exclusive mode").format(table_identifier(source))
    deadline = time.monotonic() + patience
    while True:
        try:
            with cursor.connection.transaction():
                cursor.execute("set local lock_timeout to '1s'")
                cursor.execute(statement)
                cursor.execute("set local lock_timeout to default")
            return
        except errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise LandingError(
                    f"raw.{source} has been in use for {patience:.0f} s, so its partitions cannot"
                    f" be changed. {_sessions_with_locks(cursor, source)} Wait for them or end"
                    " them, then run this again."
                ) from None


def _sessions_with_locks(cursor: Cursor, source: str) -> str:
    """A sentence that names the sessions that use the table of a source."""
    rows = cursor.execute(
        "select distinct format('%%s (pid %%s)', coalesce(application_name, 'unnamed'), pid)"
        " from pg_locks inner join pg_stat_activity using (pid)"
        " where relation = to_regclass(%s) and granted and pid <> pg_backend_pid() order by 1",
        [f"raw.{source}"],
    ).fetchall()
    return f"Sessions that use it: {', '.join(str(name) for (name,) in rows) or 'none now'}."


def lock(cursor: Cursor, name: str) -> None:
    """Wait for the lock of this name, and hold it until the transaction ends."""
    cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _create_future_partition(
    cursor: Cursor, contract: Contract, name: str, value: sql.Literal
) -> None:
    definitions = _definitions((*payload_columns(contract), *_BOOKKEEPING))
    cursor.execute(
        sql.SQL("create table {} ({}, {}, constraint in_partition check (_partition = {}))").format(
            table_identifier(name), definitions, _object_check(contract), value
        )
    )


def _exists(cursor: Cursor, name: str) -> bool:
    """Whether the schema raw has this table.

    to_regclass() may not see a table that another session created while this one waited for an
    advisory lock: it answers from a cache, which only a lock of a table brings up to date.
    """
    row = cursor.execute(
        "select exists (select from pg_class"
        " where relnamespace = 'raw'::regnamespace and relname = %s)",
        [name],
    ).fetchone()
    return row == (True,)


def _missing(
    cursor: Cursor, source: str, wanted: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...] | None:
    """Columns that the table lacks; None if there is no table."""
    # Not by to_regclass(): see _exists.
    rows = cursor.execute(
        "select attname from pg_attribute inner join pg_class on attrelid = pg_class.oid"
        " where relnamespace = 'raw'::regnamespace and relname = %s"
        " and attnum > 0 and not attisdropped",
        [source],
    ).fetchall()
    present = {name for (name,) in rows}
    return tuple(column for column in wanted if column[0] not in present) if present else None


def _definitions(columns: Sequence[tuple[str, str]]) -> sql.Composable:
    bookkeeping = {name for name, _ in _BOOKKEEPING}
    return sql.SQL(", ").join(
        sql.SQL("{} {}{}").format(
            sql.Identifier(name),
            sql.SQL(kind),
            sql.SQL(" not null" if name in bookkeeping or name == "_doc" else ""),
        )
        for name, kind in columns
    )


def _object_check(contract: Contract) -> sql.Composable:
    """A document is an object: a number or an array is JSON, but not a row."""
    if contract.payload == "document":
        return sql.SQL("constraint is_object check (jsonb_typeof(_doc) = 'object')")
    return sql.SQL(
        "constraint extra_is_object check (_extra is null or jsonb_typeof(_extra) = 'object')"
    )


def table_identifier(name: str) -> sql.Identifier:
    """A table of the schema raw, quoted."""
    return sql.Identifier("raw", name)
