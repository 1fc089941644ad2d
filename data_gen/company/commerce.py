"""Orders and their items: a session that completes the funnel ends with an order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from data_gen.company import text
from data_gen.company.activity import Sessions
from data_gen.company.catalogue import choose, price_on, product_ids
from data_gen.company.columns import moments, money, pick, small, whole
from data_gen.company.company import Company
from data_gen.company.events import order_ids, timeline
from data_gen.company.hashing import I64, U64, Mask, field, happens, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays, customer_of
from data_gen.company.rows import Rows
from data_gen.company.schemas import table

_PARTS = 10**6
LINE_DISCOUNT_PERCENT = 10


@dataclass(frozen=True, eq=False)
class Lines:
    """The items of some orders, in order."""

    order: I64  # index of the order
    bits: U64
    product: I64
    quantity: I64
    price: I64  # cents per unit
    discount: I64  # cents

    @property
    def net(self) -> I64:
        """Cents of each line, minus its discount."""
        return self.quantity * self.price - self.discount


@dataclass(frozen=True, eq=False)
class Orders:
    user: I64
    day: I64
    at: I64  # milliseconds of the day
    counter: U64  # the session's identity
    bits: U64
    customer: I64
    country: I64
    cancelled: Mask
    discount: I64  # cents, like the following amounts
    shipping: I64
    tax: I64
    total: I64  # the amount to pay
    lines: Lines

    def __len__(self) -> int:
        return len(self.user)

    @property
    def who(self) -> ActorDays:
        return ActorDays(self.user, self.day)

    def where(self, chosen: Mask) -> Orders:
        """Some orders with their lines."""
        lines = self.lines
        kept = chosen[lines.order]
        renumbered = (np.cumsum(chosen) - 1)[lines.order[kept]]
        some = {name: values[kept] for name, values in vars(lines).items()} | {"order": renumbered}
        rest = {name: values[chosen] for name, values in vars(self).items() if name != "lines"}
        return Orders(lines=Lines(**some), **rest)


def orders_of(company: Company, sessions: Sessions) -> Orders:
    """The orders that the sessions end with."""
    rules = company.rules.orders
    sessions = sessions.where(sessions.depth == len(company.rules.funnel))
    at = timeline(company, sessions).at[np.cumsum(sessions.events) - 1]
    bits = company.draw("order.bits", sessions.counter.view(np.int64))
    lines = _lines(company, sessions, bits)
    first = np.flatnonzero(np.diff(lines.order, prepend=-1))
    goods = np.add.reduceat(lines.net, first) if len(first) else lines.net
    more = splitmix64(bits)
    discount = np.where(happens(more, rules.discount_share), portion(goods, rules.discount), 0)
    free = goods - discount >= rules.free_shipping_from
    shipping = np.where(free, 0, rules.shipping.at(splitmix64(more)))
    rates = np.array(
        [int(c.tax_rate * _PARTS) for c in company.rules.countries.values()], dtype=np.int64
    )
    tax = (goods - discount + shipping) * rates[sessions.country] // _PARTS
    return Orders(
        user=sessions.user,
        day=sessions.day,
        at=at,
        counter=sessions.counter,
        bits=bits,
        customer=customer_of(company, sessions.user),
        country=sessions.country,
        cancelled=happens(
            company.draw("order.cancelled", sessions.counter.view(np.int64)), rules.cancelled_share
        ),
        discount=discount,
        shipping=shipping,
        tax=tax,
        total=goods - discount + shipping + tax,
        lines=lines,
    )


def _lines(company: Company, sessions: Sessions, order_bits: U64) -> Lines:
    rules = company.rules.orders
    count = rules.items.at(order_bits)
    order = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    bits = company.draw(
        "order.line", (sessions.counter[order] + number.view(np.uint64)).view(np.int64)
    )
    more = splitmix64(bits)
    day = sessions.day[order]
    product = choose(company, field(bits, 32, 32), day)
    quantity = rules.quantity.at(more)
    price = price_on(company, product, day)
    discounted = happens(splitmix64(more), rules.line_discount_share)
    discount = np.where(discounted, quantity * price * LINE_DISCOUNT_PERCENT // 100, 0)
    return Lines(order, bits, product, quantity, price, discount)


def portion(cents: I64, share: Decimal) -> I64:
    """A share of each amount, rounded down to the cent."""
    return cents * int(share * _PARTS) // _PARTS


PLACED, SHIPPED, COMPLETED, CANCELLED = range(4)
STATUSES = ("placed", "shipped", "completed", "cancelled")


def order_rows(
    company: Company, orders: Orders, state: I64 | None = None, updated_ms: I64 | None = None
) -> Rows:
    """A row per order: as placed, or in a later state that it reached at the given time."""
    status = np.where(orders.cancelled, CANCELLED, PLACED if state is None else state)
    ordered = orders.day * DAY_MS + orders.at
    updated = ordered if updated_ms is None else updated_ms
    nothing = orders.user * 0
    rows = table(
        "orders",
        {
            "order_id": order_ids(company, orders.counter),
            "customer_id": text.numbered("c", orders.customer, 6),
            "ordered_at": moments(ordered),
            "user_id": text.numbered("u", orders.user, 6),
            "status": pick(STATUSES, status),
            "currency": pick([company.rules.products.currency], nothing),
            "shipping_country": pick(company.countries, orders.country),
            "discount_amount": money(orders.discount),
            "shipping_amount": money(orders.shipping),
            "tax_amount": money(orders.tax),
            "updated_at": moments(updated),
        },
    )
    return Rows(rows, order_bits(orders, status), updated // DAY_MS, again=state is not None)


def order_bits(orders: Orders, status: I64) -> U64:
    """Random bits for the row of each order in a state."""
    return splitmix64(orders.bits + status.view(np.uint64))


def item_rows(company: Company, orders: Orders) -> Rows:
    """A row per line of an order."""
    lines = orders.lines
    rows = table(
        "order_items",
        {
            "order_item_id": text.hex_ids("i", lines.bits),
            "order_id": order_ids(company, orders.counter).take(whole(lines.order)),
            "product_id": product_ids(lines.product),
            "quantity": small(lines.quantity),
            "unit_price": money(lines.price),
            "discount_amount": money(lines.discount),
        },
    )
    return Rows(rows, lines.bits, orders.day[lines.order])
