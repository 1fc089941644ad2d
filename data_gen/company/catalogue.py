"""The products: which ones exist on a day, and their prices and costs.

A price is valid for some days, then moves around the usual price.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from data_gen.company import text
from data_gen.company.columns import flags, moments, money, pick, whole
from data_gen.company.company import Company, words_of
from data_gen.company.hashing import I64, Mask, below, field, happens
from data_gen.company.rows import Rows
from data_gen.company.schemas import table
from data_gen.company.text import DAY_MS

_PARTS = 10**6
_NEVER = 1 << 40


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The fixed attributes of each product."""

    created: I64  # day
    ends: I64  # the day of its discontinuation
    price: I64  # usual price, in cents
    cost: I64
    keeps: I64  # days until the price changes
    always: int  # products before this number are there from the founding on, for good


@lru_cache(maxsize=4)
def catalogue(company: Company) -> Catalogue:
    rules = company.rules.products
    product = np.arange(rules.count, dtype=np.int64)
    always = int(rules.always_share * rules.count)
    later = product >= always
    introduced = company.founded + below(
        company.draw("product.introduced", product), rules.introduced_within_days
    )
    taken_out = later & happens(
        company.draw("product.discontinued", product), rules.discontinued_share
    )
    created = np.where(later, introduced, company.founded)
    price = rules.price.at(company.draw("product.price", product))
    # Between 80 and 120 percent of the average share, but below the usual price.
    share = (
        int(rules.cost * _PARTS) * (80 + below(company.draw("product.cost", product), 41)) // 100
    )
    return Catalogue(
        created=created,
        ends=np.where(taken_out, created + rules.lifetime_days, _NEVER),
        price=price,
        cost=np.minimum(np.maximum(price * share // _PARTS, 1), price),
        keeps=rules.price_days.at(company.draw("product.keeps", product)),
        always=always,
    )


def price_on(company: Company, product: I64, day: I64) -> I64:
    """The price of each product on each day, in cents. A new price is valid from midnight on."""
    return _moved(company, "product.price.move", product, day, catalogue(company).price[product])


def cost_on(company: Company, product: I64, day: I64) -> I64:
    """The cost of each product to the company, in cents. It moves on the same days as the price."""
    return _moved(company, "product.cost.move", product, day, catalogue(company).cost[product])


def _moved(company: Company, stream: str, product: I64, day: I64, usual: I64) -> I64:
    goods = catalogue(company)
    period = (day - goods.created[product]) // goods.keeps[product]
    most = int(company.rules.products.price_change * _PARTS)
    move = below(company.draw(stream, product, period), 2 * most + 1) - most
    return np.where(period == 0, usual, np.maximum(usual * (_PARTS + move) // _PARTS, 1))


def choose(company: Company, bits: I64, day: I64) -> I64:
    """A product that can be bought on the day. `bits`: 32 random bits.

    Products with low numbers are drawn more often.
    """
    goods = catalogue(company)
    skewed = ((bits & 0xFFFF) * (bits >> 16)) >> 16
    product = (skewed * len(goods.price)) >> 16
    sold: Mask = (goods.created[product] <= day) & (day < goods.ends[product])
    return np.where(sold, product, product % goods.always)


def product_rows(company: Company, day: int) -> Rows:
    """The whole catalogue at the end of a day: every product that exists or has existed."""
    goods = catalogue(company)
    product = (
        np.flatnonzero(goods.created <= day)
        if day >= company.founded
        else np.zeros(0, dtype=np.int64)
    )
    days = np.full(len(product), day, dtype=np.int64)
    created, ends = goods.created[product], goods.ends[product]
    priced = created + (days - created) // goods.keeps[product] * goods.keeps[product]
    updated = np.where(ends <= day, np.maximum(ends, priced), priced)
    rules = company.rules.products
    category = product % len(rules.categories)
    adjectives, nouns = words_of("product_adjectives"), words_of("product_nouns")
    adjective = field(company.draw("product.adjective", product), 32, 32) * len(adjectives) >> 32
    rows = table(
        "products",
        {
            "product_id": product_ids(product),
            "updated_at": moments(updated * DAY_MS),
            "name": text.join(
                [pick(adjectives, adjective), pick(nouns, product % len(nouns)), _model(product)],
                " ",
            ),
            "category": pick(rules.categories, category),
            "unit_price": money(price_on(company, product, days)),
            "unit_cost": money(cost_on(company, product, days)),
            "currency": pick([rules.currency], product * 0),
            "is_active": flags(days < ends),
        },
    )
    return Rows(rows, company.draw("product.row", product, day), days)


def product_ids(product: I64) -> pa.Array:
    return text.numbered("p", product + 1, 4)


def _model(product: I64) -> pa.Array:
    return whole(100 + product * 7).cast(pa.string())
