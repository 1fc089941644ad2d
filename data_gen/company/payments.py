"""Payments of orders: on the day of the order, later, in two parts, and refunds. The plan of an order's payments is a
function of the order, so any day can be asked what is due on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_gen.company import text
from data_gen.company.activity import sessions_of
from data_gen.company.columns import moments, money, pick
from data_gen.company.commerce import Orders, orders_of
from data_gen.company.company import Company
from data_gen.company.delivery import PutOff, late
from data_gen.company.events import order_ids
from data_gen.company.hashing import I64, U64, field, happens, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays
from data_gen.company.quantiles import Choice
from data_gen.company.schemas import table

NOW, LATER, REFUND = range(3)
KINDS = ("charge", "charge", "refund")
_CHECKOUT_MS = 120_000  # a payment follows its order within two minutes


@dataclass(frozen=True, eq=False)
class Payments:
    """Payments of some orders, ordered by order, then time."""

    orders: Orders
    order: I64  # index of the order
    step: I64  # NOW, LATER or REFUND
    day: I64  # of the payment
    at: I64  # milliseconds of that day
    amount: I64  # cents, never negative: the kind says the direction
    lands: I64  # the day on which the row arrives
    bits: U64

    def __len__(self) -> int:
        return len(self.order)


def paid_later(company: Company) -> PutOff:
    return PutOff(company, "payment.later", company.rules.payments.later_share, company.rules.payments.later_days)


def refunded(company: Company) -> PutOff:
    return PutOff(company, "payment.refund", company.rules.payments.refund_share, company.rules.payments.refund_days)


def refund_delay(company: Company, who: ActorDays, later: I64) -> I64:
    """Only what was paid on its day is refunded, so that no refund comes before its payment."""
    return np.where(later == 0, refunded(company).delay(who), 0)


def payments_of(company: Company, orders: Orders) -> Payments:
    """Everything that is ever paid for the orders."""
    rules = company.rules.payments
    who = ActorDays(orders.user, orders.day)
    later = paid_later(company).delay(who)
    back = refund_delay(company, who, later)
    late_by = late(company, "payments").delay(who)
    bits = company.draw("payment.plan", orders.counter.view(np.int64))
    half = orders.total // 2
    to_pay = np.where(orders.cancelled, 0, orders.total)
    at_once = np.where(later == 0, to_pay, np.where(happens(bits, rules.parts_share), np.minimum(half, to_pay), 0))
    returned = np.where(happens(splitmix64(bits), rules.partial_refund_share), half, orders.total)
    amounts = np.stack([at_once, to_pay - at_once, np.where((back > 0) & (to_pay > 0), returned, 0)], axis=1)
    delays = np.stack([later * 0, later, back], axis=1)

    order, step = np.nonzero(amounts > 0)
    row = splitmix64(bits[order] ^ step.astype(np.uint64))
    day = orders.day[order] + delays[order, step]
    soon = np.minimum(orders.at[order] + field(row, 0, 17) % _CHECKOUT_MS, DAY_MS - 1)
    return Payments(
        orders=orders,
        order=order,
        step=step,
        day=day,
        at=np.where(step == NOW, soon, company.hours.at(row)),
        amount=amounts[order, step],
        lands=day + late_by[order],
        bits=company.draw("payment", (orders.counter[order] + step.view(np.uint64)).view(np.int64)),
    )


def earlier_orders_paid(company: Company, day: int) -> Iterator[Payments]:
    """Payments that land on `day` for orders of earlier days. The three ways to get there do not overlap."""
    late_payments = late(company, "payments")
    later, back = paid_later(company), refunded(company)
    for who in later.due(day):
        yield _payments(company, who.where(late_payments.delay(who) == 0))
    for who in back.due(day):
        yield _payments(company, who.where((late_payments.delay(who) == 0) & (later.delay(who) == 0)))
    longest = late_payments.delays.largest + max(later.delays.largest, back.delays.largest)
    for who, delay in late_payments.recent(day, longest):
        put_off = later.delay(who)
        wait = day - who.day - delay
        candidates = (wait == 0) | ((wait > 0) & ((wait == put_off) | (wait == refund_delay(company, who, put_off))))
        yield _payments(company, who.where(candidates))


def _payments(company: Company, who: ActorDays) -> Payments:
    return payments_of(company, orders_of(company, sessions_of(company, who)))


def payment_rows(company: Company, payments: Payments, landed: int) -> tuple[pa.Table, U64]:
    """The rows that land on one day, with their random bits."""
    here = np.flatnonzero(payments.lands == landed)
    orders, order = payments.orders, payments.order[here]
    methods = company.rules.payments.methods
    method = Choice.of(list(methods.values())).at(company.draw("payment.method", orders.counter.view(np.int64)))
    nothing = order * 0
    rows = table(
        "payments",
        {
            "payment_id": text.hex_ids("y", payments.bits[here]),
            "amount": money(payments.amount[here]),
            "currency": pick([company.rules.products.currency], nothing),
            "paid_at": moments(payments.day[here] * DAY_MS + payments.at[here]),
            "customer_id": text.numbered("c", orders.customer[order], 6),
            "order_id": order_ids(company, orders.counter[order]),
            "subscription_id": pa.nulls(len(here), pa.string()),
            "kind": pick(KINDS, payments.step[here]),
            "method": pick(list(methods), method[order]),
            "status": pick(["succeeded"], nothing),
        },
    )
    return rows, payments.bits[here]
