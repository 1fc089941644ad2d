"""The newest key figures, read from the marts as the role that only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeVar

import psycopg
from psycopg.rows import class_row

from infrastructure.settings import Settings
from infrastructure.warehouse import WarehouseError, connect

T = TypeVar("T")


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
    """Users of the newest week that is over: who came, stayed, came back and left."""

    week: date
    active_users: int
    new_users: int
    retained_users: int
    resurrected_users: int
    churned_users: int


@dataclass(frozen=True, slots=True)
class Sales:
    """Orders and net revenue of the newest day that has any, and of the 30 days that end with it."""

    day: date
    orders: int
    net_revenue: Decimal
    orders_30_days: int
    net_revenue_30_days: Decimal


@dataclass(frozen=True, slots=True)
class Kpis:
    """The newest figures of each kind; None where the marts have no row for it yet."""

    active_users: ActiveUsers | None
    growth: GrowthAccounting | None
    sales: Sales | None


def newest_kpis(settings: Settings) -> Kpis:
    with connect(settings, "reporter", application_name="kpis") as warehouse:
        try:
            return Kpis(
                active_users=_first(warehouse, ActiveUsers, _ACTIVE_USERS),
                growth=_first(warehouse, GrowthAccounting, _GROWTH),
                sales=_first(warehouse, Sales, _SALES),
            )
        except psycopg.errors.UndefinedTable as error:
            raise WarehouseError(
                f"{error.diag.message_primary} in {settings.database}: the models are not built. Run `make dbt-build`."
            ) from error


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
    select period_start as week, active_users, new_users, retained_users, resurrected_users, churned_users
    from marts.growth_accounting
    where grain = 'week' and period_start + 6 <= (select max(date_day) from marts.active_users)
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
        on sales.grain = 'day' and sales.period_start > newest.day - 30 and sales.period_start <= newest.day
    group by newest.day
"""
