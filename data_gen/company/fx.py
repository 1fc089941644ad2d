"""Exchange rates: each currency moves by a small step a day and stays near its first rate."""

from __future__ import annotations

import numpy as np

from data_gen.company.columns import RATE, days, decimals, pick
from data_gen.company.company import Company
from data_gen.company.hashing import I64, below
from data_gen.company.rows import Rows
from data_gen.company.rule_values import RATE_DIGITS
from data_gen.company.rules import BASE_CURRENCY
from data_gen.company.schemas import table

_PARTS = 10**6


def rate_rows(company: Company, day: int) -> Rows:
    """One row per currency."""
    names = [BASE_CURRENCY, *company.rules.fx.rates]
    code = np.arange(len(names) if day >= company.founded else 0, dtype=np.int64)
    rows = table(
        "fx_rates",
        {
            "rate_date": days(np.full(len(code), day)),
            "currency": pick(names, code),
            "usd_rate": decimals(RATE, rates_on(company, day)[code]),
        },
    )
    return Rows(rows, company.draw("fx.row", code, day), np.full(len(code), day))


def rates_on(company: Company, day: int) -> I64:
    """Millionths of a dollar for one unit of each currency, the base currency first."""
    rules = company.rules.fx
    step, most = int(rules.daily_move * _PARTS), int(rules.most * _PARTS)
    walked = np.arange(max(day - company.founded, 0), dtype=np.int64)
    rates = [10**RATE_DIGITS]
    for number, rate in enumerate(rules.rates.values()):
        moves = below(company.draw("fx.move", walked, number), 2 * step + 1) - step
        rates.append(max(rate * (_PARTS + _folded(int(moves.sum()), most)) // _PARTS, 1))
    return np.array(rates, dtype=np.int64)


def _folded(way: int, most: int) -> int:
    """The end of a walk that is reflected at -most and +most."""
    if not most:
        return 0
    place = (way + most) % (4 * most)
    return min(place, 4 * most - place) - most
