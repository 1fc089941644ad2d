"""Payments of orders: on the day of the order, later, in two parts, and refunds.

The plan of an order's payments is a function of the order, so the payments due on a day can be
found for any day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_gen.company import text
from data_gen.company.activity import sessions_of
from data_gen.company.columns import moments, money, pick, small
from data_gen.company.commerce import Orders, orders_of
from data_gen.company.company import Company
from data_gen.company.delivery import PutOff, late
from data_gen.company.events import order_ids
from data_gen.company.hashing import I64, U64, Mask, field, happens, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays
from data_gen.company.quantiles import Choice
from data_gen.company.rows import Rows
from data_gen.company.schemas import table

NOW, LATER, REFUND, FAILED = range(4)  # FAILED and above: attempts that fail
_CHECKOUT_MS = 120_000  # a payment follows its order within two minutes


@dataclass(frozen=True, eq=False)
class Payments:
    """Payments of some orders, ordered by order, then time."""

    orders: Orders
    order: I64  # index of the order
    step: I64  # NOW, LATER, REFUND, or FAILED and above
    day: I64  # of the payment
    at: I64  # milliseconds of that day
    amount: I64  # cents, never negative: the kind is the direction
    lands: I64  # the day on which the row arrives
    bits: U64

    def __len__(self) -> int:
        return len(self.order)

    def where(self, chosen: Mask) -> Payments:
        rest = {name: values[chosen] for name, values in vars(self).items() if name != "orders"}
        return Payments(orders=self.orders, **rest)


def paid_later(company: Company) -> PutOff:
    return PutOff(
        company,
        "payment.later",
        company.rules.payments.later_share,
        company.rules.payments.later_days,
    )


def refunded(company: Company) -> PutOff:
    return PutOff(
        company,
        "payment.refund",
        company.rules.payments.refund_share,
        company.rules.payments.refund_days,
    )


def refund_delay(company: Company, who: ActorDays, later: I64) -> I64:
    """Days until the refund, 0 for none. Orders paid later have none: it could come first."""
    return np.where(later == 0, refunded(company).delay(who), 0)


def payments_of(company: Company, orders: Orders) -> Payments:
    """All payments for the orders, whenever they happen."""
    rules = company.rules.payments
    who = orders.who
    later = paid_later(company).delay(who)
    back = refund_delay(company, who, later)
    late_by = late(company, "payments").delay(who)
    bits = company.draw("payment.plan", orders.counter.view(np.int64))
    half = orders.total // 2
    to_pay = np.where(orders.cancelled, 0, orders.total)
    at_once = np.where(
        later == 0, to_pay, np.where(happens(bits, rules.parts_share), np.minimum(half, to_pay), 0)
    )
    returned = np.where(happens(splitmix64(bits), rules.partial_refund_share), half, orders.total)
    tries = np.where(happens(~bits, rules.failed_share), rules.failures.at(splitmix64(~bits)), 0)
    failed = [np.where(tries > n, at_once, 0) for n in range(rules.failures.largest)]
    nothing = later * 0
    refunds = np.where((back > 0) & (to_pay > 0), returned, 0)
    amounts = np.stack([at_once, to_pay - at_once, refunds, *failed], axis=1)
    delays = np.stack([nothing, later, back, *[nothing for _ in failed]], axis=1)

    order, step = np.nonzero(amounts > 0)
    row = splitmix64(bits[order] ^ step.astype(np.uint64))
    day = orders.day[order] + delays[order, step]
    soon = np.minimum(orders.at[order] + field(row, 0, 17) % _CHECKOUT_MS, DAY_MS - 1)
    # Failed attempts lie between the order and the payment that succeeds.
    failing = orders.at[order] + (field(row, 0, 17) % _CHECKOUT_MS >> 8)
    return Payments(
        orders=orders,
        order=order,
        step=step,
        day=day,
        at=np.where(
            step == NOW,
            np.where(
                tries[order] > 0, np.minimum(orders.at[order] + _CHECKOUT_MS, DAY_MS - 1), soon
            ),
            np.where(step >= FAILED, np.minimum(failing, DAY_MS - 1), company.hours.at(row)),
        ),
        amount=amounts[order, step],
        lands=day + np.where((step == NOW) | (step >= FAILED), late_by[order], 0),
        bits=company.draw("payment", (orders.counter[order] + step.view(np.uint64)).view(np.int64)),
    )


def earlier_orders_paid(company: Company, day: int) -> Iterator[Payments]:
    """Payments that land on `day` for orders of earlier days.

    They are payments made later, refunds, and late rows of payments made on the earlier day.
    """
    for who in paid_later(company).due(day):
        payments = _payments(company, who)
        yield payments.where(payments.step == LATER)
    for who in refunded(company).due(day):
        payments = _payments(company, who)
        yield payments.where(payments.step == REFUND)
    for who in late(company, "payments").due(day):
        payments = _payments(company, who)
        yield payments.where((payments.step != LATER) & (payments.step != REFUND))


def _payments(company: Company, who: ActorDays) -> Payments:
    return payments_of(company, orders_of(company, sessions_of(company, who, only_buying=True)))


def payment_rows(company: Company, payments: Payments, landed: int) -> Rows:
    """The rows of the payments that land on one day."""
    here = np.flatnonzero(payments.lands == landed)
    orders, order, step = payments.orders, payments.order[here], payments.step[here]
    methods = company.rules.payments.methods
    method = Choice.of(list(methods.values())).at(
        company.draw("payment.method", orders.counter.view(np.int64))
    )
    day = payments.day[here]
    rows = table(
        "payments",
        {
            "payment_id": text.hex_ids("y", payments.bits[here]),
            "amount": money(payments.amount[here]),
            "currency": pick([company.rules.products.currency], order * 0),
            "paid_at": moments(day * DAY_MS + payments.at[here]),
            "customer_id": text.numbered("c", orders.customer[order], 6),
            "order_id": order_ids(company, orders.counter[order]),
            "subscription_id": pa.nulls(len(here), pa.string()),
            "kind": pick(["charge", "refund"], (step == REFUND).astype(np.int64)),
            "method": pick(list(methods), method[order]),
            "status": pick(["succeeded", "failed"], (step >= FAILED).astype(np.int64)),
        },
    )
    return Rows(rows, payments.bits[here], day)


def return_rows(company: Company, payments: Payments, landed: int) -> Rows:
    """The goods returned with the refunds that land on one day.

    A refund of the whole order returns all lines. A partial refund returns the first line.
    """
    here = np.flatnonzero((payments.lands == landed) & (payments.step == REFUND))
    orders, lines = payments.orders, payments.orders.lines
    refund = np.full(len(orders), -1, dtype=np.int64)
    refund[payments.order[here]] = here
    first = np.diff(lines.order, prepend=-1) > 0
    amounts = np.append(payments.amount, -1)  # -1 for the orders without a refund
    whole_order = amounts[refund] == orders.total
    line = np.flatnonzero((refund[lines.order] >= 0) & (whole_order[lines.order] | first))
    order = lines.order[line]
    amount = amounts[refund[order]]
    # Each line's part of the refund. The first line takes the remainder of rounding.
    net = np.where(whole_order[order], lines.net[line], 1)
    sums = np.bincount(order, net, minlength=len(orders)).astype(np.int64)
    part = amount * net // np.maximum(sums[order], 1)
    given = np.bincount(order, part, minlength=len(orders)).astype(np.int64)
    part += np.where(first[line], amount - given[order], 0)
    bits = company.draw("return", lines.bits[line].view(np.int64))
    reasons = company.rules.returns.reasons
    day = payments.day[refund[order]]
    rows = table(
        "returns",
        {
            "return_id": text.hex_ids("r", bits),
            "order_item_id": text.hex_ids("i", lines.bits[line]),
            "returned_at": moments(day * DAY_MS + payments.at[refund[order]]),
            "quantity": small(lines.quantity[line]),
            "reason": pick(list(reasons), Choice.of(list(reasons.values())).at(bits)),
            "refund_amount": money(part),
        },
    )
    return Rows(rows, bits, day)
