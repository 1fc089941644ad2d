"""Drops partitions of raw that are older than anybody wants them. Their loads stay in the books, as retired."""

from __future__ import annotations

from datetime import date

import psycopg
from psycopg import errors, sql

from saas_analytics.landing.tables import file_partition, lock, table_identifier, zone_partition


def retire(connection: psycopg.Connection, before: date) -> list[str]:
    """Drop the partitions of days before `before` whose loads the models have all taken in; the names of their tables.

    Each in a transaction of its own, in autocommit mode. A table that somebody reads is left for the next time. Nothing
    is recorded in raw.touched_days: the models keep what they have built from these rows.
    """
    if connection.execute(
        "select to_regclass('change_feed.consumed_loads') is null"
    ).fetchone() == (True,):
        return []  # nothing has ever been built
    retired = []
    for source, day, origin, loads in connection.execute(_RETIRABLE, [before]).fetchall():
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
                # Landing may have replaced a load meanwhile: then the partition is another one, or has other rows.
                marked = cursor.execute(_RETIRE, [loads, source, day, origin, loads]).rowcount
                if marked != len(loads):
                    raise psycopg.Rollback
                cursor.execute(sql.SQL("drop table {}").format(table_identifier(name)))
                retired.append(name)
        except errors.LockNotAvailable:
            continue
    return retired


# Partitions of which every live load is consumed. A zone's partition has one live load, one of foreign files many.
_RETIRABLE = """
select loads.source, loads.landed_on, loads.origin, array_agg(loads.load_id order by loads.load_id)
from raw.loads as loads
left join change_feed.consumed_loads as consumed
    on consumed.load_id = loads.load_id and consumed.model = 'base_' || loads.source
where loads.landed_on < %s and loads.superseded_by is null and loads.retired_at is null
group by loads.source, loads.landed_on, loads.origin
having bool_and(consumed.load_id is not null)
order by loads.landed_on, loads.source
"""
_RETIRE = """
update raw.loads set retired_at = clock_timestamp()
where load_id = any(%s) and superseded_by is null
    and not exists (
        select from raw.loads as newer
        where newer.source = %s and newer.landed_on = %s and newer.origin = %s
            and newer.superseded_by is null and newer.retired_at is null and newer.load_id <> all(%s)
    )
"""
