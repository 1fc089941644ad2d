"""A day of the company: the rows of each source that land on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from data_gen.company import events as event
from data_gen.company.accounts import changed_customers, customer_rows, customers_by
from data_gen.company.activity import Sessions, first_active_user, sessions_of
from data_gen.company.billing import period_payments, period_rows, subscribers_with_changes
from data_gen.company.catalogue import product_rows
from data_gen.company.commerce import Orders, item_rows, order_rows, orders_of
from data_gen.company.company import Company
from data_gen.company.delivery import late
from data_gen.company.events import Events
from data_gen.company.fulfilment import moved_order_rows, moving_on, shipment_rows
from data_gen.company.fx import rate_rows
from data_gen.company.hashing import I64
from data_gen.company.lives import ActorDays, end_day
from data_gen.company.marketing import (
    campaigns,
    session_campaigns,
    session_rows,
    spend_rows,
    touch_rows,
    touches_on,
)
from data_gen.company.payments import (
    REFUND,
    Payments,
    earlier_orders_paid,
    payment_rows,
    payments_of,
    return_rows,
)
from data_gen.company.people import changed_users, user_rows
from data_gen.company.rows import Rows
from data_gen.company.schemas import SOURCES
from data_gen.company.stock import stock_rows

CHUNK_ROWS = 1 << 16
AUDIENCE_DAYS = 30  # the longest period over which active users are counted
_FEW_ROWS_EACH = 4  # times as many users at once, where most of them have no rows
ALL = frozenset(SOURCES)
_OF_ACTIVITY = frozenset({"events", "sessions", "ad_spend", "orders", "order_items", "payments"})
_OF_ORDERS = frozenset({"orders", "order_items", "payments"})
_BY_CUSTOMER = frozenset({"customers", "subscriptions", "payments"})
_UNDER_WAY = frozenset({"shipments", "orders"})
Select = Callable[[Company, ActorDays], ActorDays]
Make = Callable[[Company, ActorDays], Rows]

# source, name of its late rows, the customers with rows on a day, and the rows
_OF_CUSTOMERS: tuple[tuple[str, str, Select, Make], ...] = (
    ("customers", "customers", changed_customers, customer_rows),
    ("subscriptions", "subscriptions", subscribers_with_changes, period_rows),
    ("payments", "subscription_payments", subscribers_with_changes, period_payments),
)


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of a source, in order. They land on one day and belong to it or to earlier days."""

    source: str
    rows: Rows | Events


class Watcher(Protocol):
    """Receives the plan of a day while its rows are made."""

    def subscribers(self, who: ActorDays) -> None:
        """Customers whose subscriptions have a row on the day, whenever it lands."""

    def users(self, who: ActorDays) -> None:
        """Users who exist on the day, or existed within AUDIENCE_DAYS before it."""

    def events(self, events: Events) -> None:
        """Events of the day that land on it."""

    def orders(self, orders: Orders) -> None:
        """Orders of the day, whenever they land."""

    def payments(self, payments: Payments) -> None:
        """Payments that land on the day for orders of earlier days."""


def day_batches(
    company: Company,
    day: int,
    chunk_rows: int = CHUNK_ROWS,
    wanted: frozenset[str] = ALL,
    watcher: Watcher | None = None,
) -> Iterator[Batch]:
    """Everything of the wanted sources that lands on a day, in parts.

    The parts of a source together are the same rows in the same order for every `chunk_rows`,
    which only bounds the memory.
    """
    for batch in _all_batches(company, day, chunk_rows, wanted, watcher):
        if batch.source in wanted:
            yield batch


def _all_batches(
    company: Company, day: int, chunk_rows: int, wanted: frozenset[str], watcher: Watcher | None
) -> Iterator[Batch]:
    yield Batch("products", product_rows(company, day))
    yield Batch("inventory", stock_rows(company, day))
    yield Batch("fx_rates", rate_rows(company, day))
    if day < company.founded:
        return
    for who in (
        actors(day, 0, customers_by(company, day), chunk_rows) if wanted & _BY_CUSTOMER else ()
    ):
        for source, name, select, make in _OF_CUSTOMERS:
            if source in wanted:
                yield Batch(source, _on_time(company, name, True, who, select, make))
        if watcher:
            watcher.subscribers(subscribers_with_changes(company, who))
    visits = np.zeros(len(campaigns(company).channel), dtype=np.int64)
    for touches in (
        touches_on(company, day, chunk_rows) if wanted & {"sessions", "ad_spend"} else ()
    ):
        visits += np.bincount(touches.campaign, minlength=len(visits))
        yield Batch("sessions", touch_rows(company, touches, day))
    for who in users_on(company, day, _FEW_ROWS_EACH * chunk_rows):
        if watcher:
            watcher.users(who)
        if "users" in wanted:
            yield Batch("users", _on_time(company, "users", False, who, changed_users, user_rows))
        if wanted & _OF_ACTIVITY:
            yield from _activity(company, who, day, chunk_rows, wanted, visits, watcher)
    for who in users_on(company, day, _FEW_ROWS_EACH * chunk_rows) if wanted & _UNDER_WAY else ():
        parcels = moving_on(company, who)
        yield Batch("orders", moved_order_rows(company, parcels))
        yield Batch("shipments", shipment_rows(company, parcels))
    yield Batch("ad_spend", spend_rows(company, day, visits))
    yield from _of_earlier_days(company, day, chunk_rows, wanted, watcher)


def _activity(
    company: Company,
    who: ActorDays,
    day: int,
    chunk_rows: int,
    wanted: frozenset[str],
    visits: I64,
    watcher: Watcher | None,
) -> Iterator[Batch]:
    """The activity of users on their day. Adds the visits through each campaign to `visits`."""
    sessions = sessions_of(company, who, only_buying=not wanted - _OF_ORDERS)
    on_time = _of_this_day(company, "events", sessions)
    if "events" in wanted:
        for batch in event_batches(company, on_time, day, chunk_rows):
            if watcher and isinstance(batch.rows, Events):
                watcher.events(batch.rows)
            yield batch
    if wanted & {"sessions", "ad_spend"}:
        tagged, campaign = session_campaigns(company, sessions)
        visits += np.bincount(campaign[tagged], minlength=len(visits))
        yield Batch(
            "sessions", session_rows(company, on_time, *session_campaigns(company, on_time))
        )
    if wanted & _OF_ORDERS:
        orders = orders_of(company, sessions)
        if watcher:
            watcher.orders(orders)
        yield from _order_batches(
            company, orders.where(late(company, "orders").delay(orders.who) == 0)
        )
        yield Batch("payments", payment_rows(company, payments_of(company, orders), day))


def _of_earlier_days(
    company: Company, day: int, chunk_rows: int, wanted: frozenset[str], watcher: Watcher | None
) -> Iterator[Batch]:
    """Late rows, and payments and returns for orders of earlier days."""
    for source, name, select, make in _OF_CUSTOMERS:
        if source in wanted:
            for who in late(company, name, of_customers=True).due(day):
                yield Batch(source, make(company, select(company, who)))
    if "users" in wanted:
        for who in late(company, "users").due(day):
            yield Batch("users", user_rows(company, changed_users(company, who)))
    if wanted & {"events", "sessions"}:
        for who in late(company, "events").due(day):
            sessions = sessions_of(company, who)
            yield from event_batches(company, sessions, day, chunk_rows)
            yield Batch(
                "sessions", session_rows(company, sessions, *session_campaigns(company, sessions))
            )
    if wanted & {"orders", "order_items"}:
        for who in late(company, "orders").due(day):
            yield from _order_batches(
                company, orders_of(company, sessions_of(company, who, only_buying=True))
            )
    if wanted & {"payments", "returns"}:
        for payments in earlier_orders_paid(company, day):
            if watcher:
                watcher.payments(payments)
            yield Batch("payments", payment_rows(company, payments, day))
            if (payments.step == REFUND).any():
                yield Batch("returns", return_rows(company, payments, day))


def actors(day: int, first: int, last: int, count: int) -> Iterator[ActorDays]:
    """Actors from `first` to before `last` on a day, `count` at a time."""
    for start in range(first, last, count):
        yield ActorDays.on(day, np.arange(start, min(start + count, last), dtype=np.int64))


def users_on(company: Company, day: int, chunk_rows: int) -> Iterator[ActorDays]:
    """The users who may be active on the day, or were so shortly before.

    Shortly means within AUDIENCE_DAYS, or as long as a parcel can be in transit.
    """
    rules = company.rules.shipments
    since = day - max(AUDIENCE_DAYS, rules.ship_days.largest + rules.transit_days.largest)
    for who in actors(
        day, first_active_user(company, since), company.growth.users_by(day), chunk_rows
    ):
        yield who.where(np.flatnonzero(end_day(company, who.actor) >= since))


def _on_time(
    company: Company, name: str, of_customers: bool, who: ActorDays, select: Select, make: Make
) -> Rows:
    """The rows of the actors whose day is not put off."""
    chosen = select(company, who)
    return make(company, chosen.where(late(company, name, of_customers).delay(chosen) == 0))


def _of_this_day(company: Company, name: str, sessions: Sessions) -> Sessions:
    """The sessions of the users whose day is not put off."""
    return sessions.where(late(company, name).delay(ActorDays(sessions.user, sessions.day)) == 0)


def event_batches(
    company: Company, sessions: Sessions, day: int, chunk_rows: int
) -> Iterator[Batch]:
    for part in event.in_chunks(sessions, chunk_rows):
        yield Batch("events", event.events_of(company, part, day))


def _order_batches(company: Company, orders: Orders) -> Iterator[Batch]:
    yield Batch("orders", order_rows(company, orders))
    yield Batch("order_items", item_rows(company, orders))
