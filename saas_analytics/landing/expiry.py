"""Drops the partitions of raw whose retention is over. Their loads stay in the load log."""

from __future__ import annotations

from datetime import date

import psycopg
from psycopg import errors, sql

from saas_analytics.landing.tables import file_partition, lock, table_identifier, zone_partition


def expire_partitions(connection: psycopg.Connection, before: date) -> list[str]:
    """Drop the partitions of days before `before` that the models have consumed whole.

    Returns the names of the dropped tables. The connection is in autocommit mode; each partition
    has its own transaction. A table that is being read is skipped until the next call. Nothing is
    written to raw.touched_days: the models keep the rows that they built from these.
    """
    if connection.execute(
        "select to_regclass('change_feed.consumed_loads') is null"
    ).fetchone() == (True,):
        return []  # nothing has ever been built
    expired = []
    for source, day, origin, loads in connection.execute(_EXPIRABLE, [before]).fetchall():
        name = (
            zone_partition(source, day, loads[0])
            if origin == "zone"
            else file_partition(source, day)
        )
        try:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("set local lock_timeout to '5s'")
                lock(cursor, f"land {source} {day}")
                cursor.execute(
                    sql.SQL("lock table {} in access exclusive mode").format(
                        table_identifier(source)
                    )
                )
                # Landing may have replaced a load meanwhile: then the partition has changed.
                marked = cursor.execute(_EXPIRE, [loads, source, day, origin, loads]).rowcount
                if marked != len(loads):
                    raise psycopg.Rollback
                cursor.execute(sql.SQL("drop table {}").format(table_identifier(name)))
                expired.append(name)
        except errors.LockNotAvailable:
            continue
    return expired


# Partitions whose live loads are all consumed. A partition of the zone has one live load, a
# partition of external files has many.
_EXPIRABLE = """
select loads.source, loads.landed_on, loads.origin, array_agg(loads.load_id order by loads.load_id)
from raw.loads as loads
left join change_feed.consumed_loads as consumed
    on consumed.load_id = loads.load_id and consumed.model = 'base_' || loads.source
where loads.landed_on < %s and loads.superseded_by is null and loads.retired_at is null
group by loads.source, loads.landed_on, loads.origin
having bool_and(consumed.load_id is not null)
order by loads.landed_on, loads.source
"""
_EXPIRE = """
update raw.loads set retired_at = clock_timestamp()
where load_id = any(%s) and superseded_by is null
    and not exists (
        select from raw.loads as newer
        where newer.source = %s and newer.landed_on = %s and newer.origin = %s
            and newer.superseded_by is null and newer.retired_at is null
            and newer.load_id <> all(%s)
    )
"""
