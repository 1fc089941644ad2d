"""The shipment of an order: shipped, then delivered or lost.

Its days are a function of the user and the day of the order, so that the orders that move on a
given day are found among the orders of a few earlier days.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_gen.company import text
from data_gen.company.activity import Sessions, sessions_of
from data_gen.company.columns import flags, moments, pick
from data_gen.company.commerce import COMPLETED, SHIPPED, Orders, order_rows, orders_of
from data_gen.company.company import Company
from data_gen.company.events import order_ids
from data_gen.company.hashing import I64, U64, Mask, happens, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays
from data_gen.company.quantiles import STEPS, Choice
from data_gen.company.rows import Rows
from data_gen.company.schemas import table

# Steps of the two curves by user and day: all steps are taken equally often, and neighbours take
# different ones.
_BY_USER, _BY_DAY, _TO_TRANSIT = 1979, 1361, 2741


@dataclass(frozen=True, eq=False)
class Parcels:
    """The shipments of some orders."""

    orders: Orders
    shipped: I64  # day
    delivered: I64  # day, -1 for a lost parcel
    arrived: Mask  # their state: delivered, or only shipped
    bits: U64

    def __len__(self) -> int:
        return len(self.orders)


@lru_cache(maxsize=4)
def _timetable(company: Company) -> tuple[I64, I64]:
    """Days until an order is shipped, and until it arrives, by step."""
    rules, step = company.rules.shipments, np.arange(STEPS, dtype=np.int64)
    ship = rules.ship_days.at_step(step)
    return ship, ship + rules.transit_days.at_step(step * _TO_TRANSIT & (STEPS - 1))


def days_under_way(company: Company, user: I64, day: I64) -> tuple[I64, I64]:
    """Days from an order of the user on the day until it is shipped, and until it arrives."""
    ship, arrive = _timetable(company)
    step = user * _BY_USER + day * _BY_DAY & (STEPS - 1)
    return ship[step], arrive[step]


def moving_on(company: Company, who: ActorDays) -> Parcels:
    """The parcels of these users that are shipped or arrive on their day, by user.

    All users have the same day.
    """
    ship, arrive = _timetable(company)
    today = int(who.day[0]) if len(who) else -1
    by_user = who.actor * _BY_USER
    found: list[ActorDays] = []
    for back in range(int(ship.min()), int(arrive.max()) + 1):
        ordered = today - back
        moves = (ship == back) | (arrive == back)
        there = int(np.searchsorted(who.actor, company.growth.users_by(ordered)))
        due = np.flatnonzero(moves[by_user[:there] + ordered * _BY_DAY & (STEPS - 1)])
        found.append(ActorDays.on(ordered, who.actor[due]))
    users = np.concatenate([part.actor for part in found])
    every = ActorDays(users, np.concatenate([part.day for part in found]))
    parcels = parcels_of(
        company, orders_of(company, _by_user(sessions_of(company, every, only_buying=True)))
    )
    arrived = parcels.delivered == today
    moved = arrived | (parcels.shipped == today)
    return Parcels(
        parcels.orders.where(moved),
        parcels.shipped[moved],
        parcels.delivered[moved],
        arrived[moved],
        parcels.bits[moved],
    )


def parcels_of(company: Company, orders: Orders) -> Parcels:
    """The parcels of the orders that are not cancelled."""
    orders = orders.where(~orders.cancelled)
    ship, arrive = days_under_way(company, orders.user, orders.day)
    bits = company.draw("shipment", orders.counter.view(np.int64))
    lost = happens(bits, company.rules.shipments.lost_share)
    return Parcels(
        orders, orders.day + ship, np.where(lost, -1, orders.day + arrive), lost & False, bits
    )


def _by_user(sessions: Sessions) -> Sessions:
    return sessions.where(np.lexsort((sessions.number, sessions.day, sessions.user)))


def shipment_rows(company: Company, parcels: Parcels) -> Rows:
    """A row for each parcel, in its state."""
    rules = company.rules.shipments
    shipped, updated = _shipped_ms(company, parcels), updated_ms(company, parcels)
    carrier = Choice.of(list(rules.carriers.values())).at(
        company.draw("shipment.carrier", parcels.bits.view(np.int64))
    )
    times = moments(updated)
    rows = table(
        "shipments",
        {
            "shipment_id": text.hex_ids("h", parcels.bits),
            "order_id": order_ids(company, parcels.orders.counter),
            "carrier": pick(list(rules.carriers), carrier),
            "shipped_at": moments(shipped),
            "promised_at": moments(shipped + rules.promised_days * DAY_MS),
            "delivered_at": pc.if_else(flags(parcels.arrived), times, pa.nulls(1, times.type)[0]),
            "updated_at": times,
        },
    )
    return Rows(
        rows, splitmix64(parcels.bits + parcels.arrived.astype(np.uint64)), updated // DAY_MS
    )


def moved_order_rows(company: Company, parcels: Parcels) -> Rows:
    """Further rows of their orders, in their new state."""
    return order_rows(
        company,
        parcels.orders,
        np.where(parcels.arrived, COMPLETED, SHIPPED),
        updated_ms(company, parcels),
    )


def updated_ms(company: Company, parcels: Parcels) -> I64:
    """When each parcel reached its state, in milliseconds since 1970."""
    arrived = parcels.delivered * DAY_MS + company.hours.at(splitmix64(parcels.bits))
    return np.where(parcels.arrived, arrived, _shipped_ms(company, parcels))


def _shipped_ms(company: Company, parcels: Parcels) -> I64:
    return parcels.shipped * DAY_MS + company.hours.at(parcels.bits)
