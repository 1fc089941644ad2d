"""A day of the company: which rows of which source arrive on it, and where they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_gen.company import events as event
from data_gen.company.accounts import changed_customers, customer_rows, customers_by
from data_gen.company.activity import Sessions, first_active_user, sessions_of
from data_gen.company.billing import period_payments, period_rows, subscribers_with_changes
from data_gen.company.catalogue import product_rows
from data_gen.company.columns import whole
from data_gen.company.commerce import item_rows, order_rows, orders_of
from data_gen.company.company import Company, exact_scale
from data_gen.company.delivery import late, with_duplicates
from data_gen.company.events import Events
from data_gen.company.files import Written
from data_gen.company.growth import day_number
from data_gen.company.hashing import LAST_DAY, U64
from data_gen.company.lives import ActorDays
from data_gen.company.payments import earlier_orders_paid, payment_rows, payments_of
from data_gen.company.people import changed_users, user_rows
from data_gen.company.rules import Rules
from data_gen.company.schemas import SOURCES
from data_gen.company.zone import DayWriters

CHUNK_ROWS = 1 << 16
_USERS_PER_CHUNK = 4  # a chunk of users is smaller than one of rows, as each of them brings several
Batch = tuple[str, Events | pa.Table]
Select = Callable[[Company, ActorDays], ActorDays]
Make = Callable[[Company, ActorDays], tuple[pa.Table, U64]]

# source, name of its late rows, who has rows on a day, and these rows
_OF_CUSTOMERS: tuple[tuple[str, str, Select, Make], ...] = (
    ("customers", "customers", changed_customers, customer_rows),
    ("subscriptions", "subscriptions", subscribers_with_changes, period_rows),
    ("payments", "subscription_payments", subscribers_with_changes, period_payments),
)


def day_batches(company: Company, day: int, chunk_rows: int = CHUNK_ROWS) -> Iterator[Batch]:
    """Everything that arrives on a day, in parts. A source's parts one after another are the same rows in the same
    order whatever `chunk_rows` is: it only bounds the memory."""
    yield "products", product_rows(company, day)
    if day < company.founded:
        return
    for source, name, select, make in _OF_CUSTOMERS:
        for who in _actors(day, 0, customers_by(company, day), chunk_rows):
            yield source, _on_time(company, name, True, who, select, make)
    for who in _actors(
        day, first_active_user(company, day - 1), company.growth.users_by(day), max(chunk_rows // _USERS_PER_CHUNK, 1)
    ):
        yield "users", _on_time(company, "users", False, who, changed_users, user_rows)
        sessions = sessions_of(company, who)
        yield from _event_batches(company, _of_this_day(company, "events", sessions), day, chunk_rows)
        yield from _order_batches(company, _of_this_day(company, "orders", sessions))
        yield (
            "payments",
            _copied(company, payment_rows(company, payments_of(company, orders_of(company, sessions)), day)),
        )
    yield from _of_earlier_days(company, day, chunk_rows)


def _of_earlier_days(company: Company, day: int, chunk_rows: int) -> Iterator[Batch]:
    """What arrives late, and what is paid or refunded for orders of earlier days."""
    for source, name, select, make in _OF_CUSTOMERS:
        for who in late(company, name, of_customers=True).due(day):
            yield source, _copied(company, make(company, select(company, who)))
    for who in late(company, "users").due(day):
        yield "users", _copied(company, user_rows(company, changed_users(company, who)))
    for who in late(company, "events").due(day):
        yield from _event_batches(company, sessions_of(company, who), day, chunk_rows)
    for who in late(company, "orders").due(day):
        yield from _order_batches(company, sessions_of(company, who))
    for payments in earlier_orders_paid(company, day):
        yield "payments", _copied(company, payment_rows(company, payments, day))


def _actors(day: int, first: int, last: int, count: int) -> Iterator[ActorDays]:
    for start in range(first, last, count):
        yield ActorDays.on(day, np.arange(start, min(start + count, last), dtype=np.int64))


def _on_time(company: Company, name: str, of_customers: bool, who: ActorDays, select: Select, make: Make) -> pa.Table:
    """The rows of those whose day is not put off."""
    chosen = select(company, who)
    chosen = chosen.where(late(company, name, of_customers).delay(chosen) == 0)
    return _copied(company, make(company, chosen))


def _of_this_day(company: Company, name: str, sessions: Sessions) -> Sessions:
    """The sessions whose users' day is not put off."""
    return sessions.where(late(company, name).delay(ActorDays(sessions.user, sessions.day)) == 0)


def _event_batches(company: Company, sessions: Sessions, day: int, chunk_rows: int) -> Iterator[Batch]:
    for part in event.in_chunks(sessions, chunk_rows):
        events = event.events_of(company, part, day)
        rows = with_duplicates(company, events.timeline.bits)
        yield "events", events if rows is None else events.take(rows)


def _order_batches(company: Company, sessions: Sessions) -> Iterator[Batch]:
    orders = orders_of(company, sessions)
    yield "orders", _copied(company, order_rows(company, orders))
    yield "order_items", _copied(company, item_rows(company, orders))


def _copied(company: Company, made: tuple[pa.Table, U64]) -> pa.Table:
    """The rows, some of them twice."""
    rows, bits = made
    twice = with_duplicates(company, bits)
    return rows if twice is None else rows.take(whole(twice))


# -- what other modules ask for ------------------------------------------------------------------------------


def day_number_of(day: date) -> int:
    """The day's number since 1970. Raises ValueError where ids have no room for it."""
    number = day_number(day)
    if not 0 <= number <= LAST_DAY:
        raise ValueError(f"the day must lie between 1970-01-01 and {np.datetime64(LAST_DAY, 'D')}, not {day}")
    return number


def day_tables(
    rules: Rules, seed: int, scale: str | float | Decimal, day: date, chunk_rows: int = CHUNK_ROWS
) -> dict[str, pa.Table]:
    """All rows that arrive on a day, as one table per source."""
    company = Company(rules, seed, exact_scale(scale))
    parts: dict[str, list[pa.Table]] = {name: [source.schema.empty_table()] for name, source in SOURCES.items()}
    for name, batch in day_batches(company, day_number_of(day), chunk_rows):
        parts[name].append(event.as_table(company, batch) if isinstance(batch, Events) else batch)
    return {name: pa.concat_tables(tables) for name, tables in parts.items()}


def write_day(company: Company, day: date, out: Path, chunk_rows: int = CHUNK_ROWS) -> list[Written]:
    """Writes a day's files into the landing zone `out`."""
    number = day_number_of(day)
    with DayWriters(list(SOURCES.values()), out, day.isoformat(), company.made_from) as writers:
        for name, batch in day_batches(company, number, chunk_rows):
            if isinstance(batch, Events):
                writers.by_source[name].add_lines(event.lines(company, batch))
            else:
                writers.by_source[name].add(batch)
        return writers.finish()
