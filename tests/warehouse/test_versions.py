"""Which row of a key counts; and no two versions of a key are valid at the same time."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from saas_analytics.landing.execution import prepare
from saas_analytics.settings import Settings
from tests.warehouse.conftest import Build, land_days
from tests.warehouse.random_company import FIRST_DAY, Row, write_delivery

DIMENSIONS = {"dim_users": "user", "dim_customers": "customer", "dim_products": "product"}


def test_the_database_refuses_versions_that_overlap(warehouse: Settings, build: Build) -> None:
    """Also after a full refresh, which refills the existing tables and recreates their indexes."""
    prepare(warehouse)
    build(warehouse, "run", "--select", *(f"+{dimension}" for dimension in DIMENSIONS))
    check_overlaps_are_refused(warehouse)
    build(warehouse, "run", "--full-refresh", "--select", *DIMENSIONS)
    check_overlaps_are_refused(warehouse)


def check_overlaps_are_refused(settings: Settings) -> None:
    for dimension, entity in DIMENSIONS.items():
        with psycopg.connect(settings.dsn("owner")) as connection:
            add_version(connection, dimension, entity, "2026-01-01", "2026-02-01")
            # Windows are half-open, so this one does not overlap the first.
            add_version(connection, dimension, entity, "2026-02-01", None)
            for start, end in (
                ("2026-01-31", "2026-02-01"),
                ("2025-12-31", "2026-01-02"),
                ("2026-03-01", None),
            ):
                with (
                    pytest.raises(psycopg.errors.ExclusionViolation) as refused,
                    connection.transaction(),
                ):
                    add_version(connection, dimension, entity, start, end)
                assert refused.value.diag.constraint_name == f"{dimension}_do_not_overlap"
            connection.rollback()


def add_version(
    connection: psycopg.Connection, dimension: str, entity: str, start: str, end: str | None
) -> None:
    """Add a version with a surrogate key of its own, so that it violates no unique index."""
    query = sql.SQL(
        "insert into core.{} ({}, {}, valid_from, valid_to, is_current)"
        " values (%(key)s, 'somebody', %(start)s, %(end)s, %(current)s)"
    ).format(*(sql.Identifier(name) for name in (dimension, f"{entity}_sk", f"{entity}_id")))
    connection.execute(
        query, {"key": f"{start}/{end}", "start": start, "end": end, "current": end is None}
    )


def test_the_last_updated_row_of_a_key_counts_then_the_last_landed_then_the_last_line(
    warehouse: Settings, build: Build
) -> None:
    days = [FIRST_DAY + timedelta(days=n) for n in range(2)]
    early, late = (f"{FIRST_DAY}T{hour}:00:00Z" for hour in ("09", "10"))
    # Rows with the status delivered must count, the others must not.
    landed = [
        [
            order("older_lands_later", late, "delivered"),
            order("newer_lands_later", early, "placed"),
            order("equal_lands_later", late, "placed"),
            order("newer_stands_above", late, "delivered"),
            order("newer_stands_above", early, "placed"),
            order("equal_stands_below", late, "placed"),
            order("equal_stands_below", late, "delivered"),
            order("says_when", late, "delivered"),
        ],
        [
            order("older_lands_later", early, "placed"),
            order("newer_lands_later", late, "delivered"),
            order("equal_lands_later", late, "delivered"),
            # A row without updated_at does not replace one that has it.
            order("says_when", "", "placed"),
        ],
    ]
    for day, rows in zip(days, landed, strict=True):
        write_delivery(warehouse.landing_zone, day, {"orders": rows})
        land_days(warehouse, day)
        build(warehouse, "run", "--select", "+stg_orders")
    expected = {row["order_id"]: "delivered" for rows in landed for row in rows}
    assert statuses(warehouse) == expected
    build(warehouse, "run", "--full-refresh", "--select", "base_orders")
    assert statuses(warehouse) == expected


def order(order_id: str, updated_at: str, status: str) -> Row:
    return {
        "order_id": order_id,
        "customer_id": "c1",
        "ordered_at": f"{FIRST_DAY}T08:00:00Z",
        "user_id": "",
        "status": status,
        "currency": "USD",
        "shipping_country": "",
        "discount_amount": "",
        "shipping_amount": "",
        "updated_at": updated_at,
    }


def statuses(settings: Settings) -> dict[str, str]:
    with psycopg.connect(settings.dsn("owner")) as connection:
        return dict(
            connection.execute("select order_id, status from staging.stg_orders").fetchall()
        )
