"""The newest key figures and their history, read from the marts with the read-only role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, TypeVar

import psycopg
from psycopg.rows import class_row

from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect

T = TypeVar("T")
Unit = Literal["count", "amount", "share", "ratio"]
Grain = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class ActiveUsers:
    """Users active on the newest day, and in the 7 and 30 days that end with it."""

    day: date
    dau: int
    wau: int
    mau: int
    stickiness: Decimal | None


@dataclass(frozen=True, slots=True)
class GrowthAccounting:
    """Users of the newest complete week: new, retained, resurrected and churned ones."""

    week: date
    active_users: int
    new_users: int
    retained_users: int
    resurrected_users: int
    churned_users: int


@dataclass(frozen=True, slots=True)
class Sales:
    """Orders and net revenue of the newest day with any, and of the 30 days that end with it."""

    day: date
    orders: int
    net_revenue: Decimal
    orders_30_days: int
    net_revenue_30_days: Decimal


@dataclass(frozen=True, slots=True)
class Kpis:
    """The newest figures of each kind; None if the marts have no row for it yet."""

    active_users: ActiveUsers | None
    growth: GrowthAccounting | None
    sales: Sales | None


@dataclass(frozen=True, slots=True)
class Trend:
    """A key figure in its newest periods, the oldest first. A value is None if undefined: 0 / 0."""

    name: str
    unit: Unit
    grain: Grain
    points: tuple[tuple[date, Decimal | None], ...]


def newest_kpis(settings: Settings) -> Kpis:
    """The newest figures. WarehouseError if the models are not built."""
    with _marts(settings) as warehouse:
        return Kpis(
            active_users=_first(warehouse, ActiveUsers, _ACTIVE_USERS),
            growth=_first(warehouse, GrowthAccounting, _GROWTH),
            sales=_first(warehouse, Sales, _SALES),
        )


def kpi_trends(settings: Settings) -> list[Trend]:
    """Every key figure with a row in the marts; empty if nothing has landed.

    WarehouseError if the models are not built.
    """
    with _marts(settings) as warehouse:
        return [trend for family in _FAMILIES for trend in _trends(warehouse, family)]


@contextmanager
def _marts(settings: Settings) -> Iterator[psycopg.Connection]:
    with connect(settings, "reporter", application_name="kpis") as warehouse:
        try:
            yield warehouse
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise WarehouseError(
                f"{error.diag.message_primary} in {settings.database}: the models are not built. "
                "Run `make dbt-build`."
            ) from error


def _trends(warehouse: psycopg.Connection, family: _Family) -> list[Trend]:
    rows = warehouse.execute(family.query).fetchall()
    if family.every_day and rows:
        known = {day: values for day, *values in rows}
        nothing = [0] * len(family.figures)
        days = [rows[0][0] - timedelta(days=n) for n in range((rows[0][0] - rows[-1][0]).days + 1)]
        rows = [(day, *known.get(day, nothing)) for day in days]
    rows.reverse()
    return [
        Trend(name, unit, family.grain, tuple((row[0], _decimal(row[number])) for row in rows))
        for number, (name, unit) in enumerate(family.figures.items(), start=1)
        if rows
    ]


def _decimal(value: int | Decimal | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _first(warehouse: psycopg.Connection, kind: type[T], query: str) -> T | None:
    with warehouse.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query).fetchone()


_ACTIVE_USERS = """
    select date_day as day, dau, wau, mau, stickiness
    from marts.active_users
    order by date_day desc
    limit 1
"""
_GROWTH = """
    select
        period_start as week, active_users, new_users, retained_users, resurrected_users,
        churned_users
    from marts.growth_accounting
    inner join marts.complete_periods using (grain, period_start)
    where grain = 'week'
    order by period_start desc
    limit 1
"""
_SALES = """
    with newest as (
        select max(period_start) as day from marts.sales_summary where grain = 'day'
    )
    select
        newest.day,
        sum(sales.orders) filter (where sales.period_start = newest.day) as orders,
        sum(sales.net_revenue) filter (where sales.period_start = newest.day) as net_revenue,
        sum(sales.orders) as orders_30_days,
        sum(sales.net_revenue) as net_revenue_30_days
    from newest
    inner join marts.sales_summary as sales
        on
            sales.grain = 'day'
            and sales.period_start > newest.day - 30 and sales.period_start <= newest.day
    group by newest.day
"""


@dataclass(frozen=True, slots=True)
class _Family:
    """Figures of one mart. The query selects the period and then `figures`, newest period first."""

    grain: Grain
    figures: Mapping[str, Unit]
    query: str
    every_day: bool = False  # a day without a row has zeros


_FAMILIES = (
    _Family(
        "day",
        {
            "Daily active users": "count",
            "Weekly active users": "count",
            "Monthly active users": "count",
            "Stickiness (DAU / MAU)": "share",
        },
        """
        select date_day, dau, wau, mau, stickiness
        from marts.active_users
        order by date_day desc
        limit 28
        """,
    ),
    _Family(
        "week",
        {
            "New users": "count",
            "Retained users": "count",
            "Resurrected users": "count",
            "Churned users": "count",
            "Quick ratio": "ratio",
        },
        """
        select
            period_start, new_users, retained_users, resurrected_users, churned_users, quick_ratio
        from marts.growth_accounting
        inner join marts.complete_periods using (grain, period_start)
        where grain = 'week'
        order by period_start desc
        limit 12
        """,
    ),
    _Family(
        "day",
        {
            "Orders": "count",
            "Gross revenue": "amount",
            "Net revenue": "amount",
            "Gross profit": "amount",
        },
        """
        select period_start, orders, gross_revenue, net_revenue, gross_profit
        from marts.sales_summary
        where
            grain = 'day'
            and period_start > (
                select max(period_start) - 28 from marts.sales_summary where grain = 'day'
            )
        order by period_start desc
        """,
        every_day=True,
    ),
    _Family(
        "month",
        {"MRR": "amount", "MRR won": "amount", "MRR lost": "amount"},
        """
        select
            month_start,
            sum(closing_mrr),
            coalesce(sum(amount) filter (where amount > 0), 0),
            coalesce(-sum(amount) filter (where amount < 0), 0)
        from marts.mrr_movements
        group by month_start
        order by month_start desc
        limit 12
        """,
    ),
)
