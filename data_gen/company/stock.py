"""Stock levels: between two deliveries a product is sold at an even rate, and never below zero.

Levels are planned per product and not counted from the orders, so that a day can be made without
the days before it. Between days, on_hand = on_hand of the previous day + received - sold, and only
a delivery adds to it.
"""

from __future__ import annotations

import numpy as np

from data_gen.company.catalogue import catalogue, product_ids
from data_gen.company.columns import days, small
from data_gen.company.company import Company
from data_gen.company.hashing import I64, below, field, happens, splitmix64
from data_gen.company.rows import Rows
from data_gen.company.schemas import table

_MOST = (1 << 31) - 1


def stock_rows(company: Company, day: int) -> Rows:
    """One row per product that exists."""
    known = (
        catalogue(company).created <= day if day >= company.founded else np.zeros(0, dtype=np.bool_)
    )
    product = np.flatnonzero(known)
    on_hand, received = stock_on(company, product, day)
    rows = table(
        "inventory",
        {
            "product_id": product_ids(product),
            "stock_date": days(np.full(len(product), day)),
            "on_hand": small(on_hand),
            "received": small(received),
        },
    )
    return Rows(rows, company.draw("stock.row", product, day), np.full(len(product), day))


def stock_on(company: Company, product: I64, day: int) -> tuple[I64, I64]:
    """The stock at the end of the day, and what was received on it."""
    goods = catalogue(company)
    age = day - goods.created[product]
    every = company.rules.inventory.restock_days.at(company.draw("stock.every", product))
    cycle, passed = age // every, age % every
    today = _level(company, product, cycle, passed, every)
    before = np.where(
        age > 0, _level(company, product, (age - 1) // every, (age - 1) % every, every), 0
    )
    # Some units are sold on the day of a delivery. Discontinued products get no deliveries.
    leaves = field(company.draw("stock.leaves", product, cycle), 0, 2)
    delivered = (passed == 0) & (day < goods.ends[product])
    ended = day >= goods.ends[product]
    today = np.where(ended, 0, np.where(delivered, np.maximum(today, before), today))
    return today, np.where(delivered, today - before + leaves, 0)


def _level(company: Company, product: I64, cycle: I64, passed: I64, every: I64) -> I64:
    """The planned level `passed` days after a delivery. It never rises within a cycle."""
    rules = company.rules.inventory
    scale = company.scale
    full = (
        rules.level.at(company.draw("stock.full", product)) * scale.numerator // scale.denominator
    )
    full = np.clip(full, 1, _MOST >> 1)
    bits = company.draw("stock.cycle", product, cycle)
    # By the end of a cycle 50 to 95 percent are sold, or everything some days before it.
    sold_out = happens(bits, rules.sold_out_share)
    sold = np.where(sold_out, 130, 50 + below(splitmix64(bits), 46))
    level: I64 = np.maximum(full - full * sold * passed // (100 * np.maximum(every - 1, 1)), 0)
    return level
