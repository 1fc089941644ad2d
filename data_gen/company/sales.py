"""The known orders at the end of a landing day, and the part of a refund that is for goods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_gen.company.commerce import CANCELLED, PLACED, Orders, order_bits
from data_gen.company.company import Company
from data_gen.company.delivery import late
from data_gen.company.fulfilment import days_under_way
from data_gen.company.hashing import I64, Mask
from data_gen.company.recovery import each_known_since


@dataclass(frozen=True, eq=False)
class Sales:
    """Orders, with the landing days from which they and their lines are known."""

    orders: Orders
    since: I64
    line_since: I64

    @classmethod
    def of(cls, company: Company, orders: Orders) -> Sales:
        """Orders of any days, whenever they land."""
        delay = late(company, "orders").delay(orders.who)
        lands, lines = orders.day + delay, orders.lines
        placed = order_bits(orders, np.where(orders.cancelled, CANCELLED, PLACED))
        since = np.where(delay == 0, each_known_since(company, "orders", orders.day, placed), lands)
        # An order gets another row when it is shipped.
        shipped = orders.day + days_under_way(company, orders.user, orders.day)[0]
        since = np.where(orders.cancelled, since, np.minimum(since, shipped))
        on_time = each_known_since(company, "order_items", orders.day[lines.order], lines.bits)
        return cls(orders, since, np.where(delay[lines.order] == 0, on_time, lands[lines.order]))

    def goods(self, amount: I64, order: I64, day: int) -> I64:
        """The cents of each refund that are for goods, as known by the end of a landing day.

        `amount`, `order`: the refunds, in cents, and the indexes of their orders. The part for
        goods is in proportion to the goods' part of the charge, rounded to the cent.
        """
        orders, lines = self.orders, self.orders.lines
        known = (self.since[lines.order] <= day) & (self.line_since <= day)
        return goods_of_refunds(amount, order, orders, known)

    def changes(self) -> I64:
        """The landing days on which something becomes known."""
        return np.concatenate([self.since, self.line_since])


def goods_of_refunds(amount: I64, order: I64, orders: Orders, known: Mask) -> I64:
    """The same for orders with some known lines."""
    net = -orders.discount
    np.add.at(net, orders.lines.order[known], orders.lines.net[known])
    sale = ~orders.cancelled & (np.bincount(orders.lines.order[known], minlength=len(orders)) > 0)
    total = net + orders.shipping + orders.tax
    counts = (sale & (total > 0))[order]
    # Python's integers, because a product of two amounts may need more than 64 bits.
    given, goods, charged = (
        cents.astype(object) for cents in (amount, np.maximum(net, 0)[order], total[order])
    )
    twice = 2 * np.where(counts, charged, 1)
    rounded = (2 * given * goods + charged) // twice  # half a cent up
    return np.where(counts, rounded, 0).astype(np.int64)
