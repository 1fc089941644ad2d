"""Movements of the monthly recurring revenue on a day, from the plan of the subscriptions.

The revenue of a subscription on a day is the monthly amount of the paid period that contains the
day, whatever its status. Trials have none. The difference from the previous day is new, expansion,
contraction or churn. It is reactivation if there was revenue earlier, but not on the previous day.
Amounts are in the subscription's currency.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_gen.company.billing import (
    SLOTS,
    Runs,
    amount_of,
    month_start,
    paid_month,
    past_due,
    row_bits,
    runs_of,
)
from data_gen.company.company import Company
from data_gen.company.delivery import late
from data_gen.company.figures import Figures
from data_gen.company.hashing import I64, Mask
from data_gen.company.lives import ActorDays, first_country_of_customer
from data_gen.company.recovery import NEVER, arrives, each_known_since

MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")


class MovementFigures(Figures):
    """Figures of a day with its movements of recurring revenue."""

    def __init__(self, company: Company, day: int) -> None:
        super().__init__(company, day)
        for currency in sorted(set(company.currencies)) if day >= company.founded else ():
            for movement in MOVEMENTS:
                self.add_true(f"mrr_{movement}.{currency}", 0)

    def subscribers(self, who: ActorDays) -> None:
        runs = runs_of(self.company, who.actor)
        for number, run in enumerate(runs):
            _add(self, self.company, run, runs[number - 1] if run.run else None)


def _add(figures: Figures, company: Company, runs: Runs, earlier: Runs | None) -> None:
    day = figures.day
    paid_from = runs.paid_from(company.rules.subscriptions.trial_days)
    month, start = paid_month(paid_from, np.full(len(paid_from), day))
    chosen = runs.pays & (paid_from <= day) & (start == day) & (month <= runs.months)
    runs, month = runs.where(chosen), month[chosen]
    key = runs.customer * SLOTS + runs.slot
    goes_on = month < runs.months
    now = np.where(goes_on, amount_of(company, key, month), 0)
    before = np.where(month > 0, amount_of(company, key, np.maximum(month - 1, 0)), 0)
    currency = _currency(company, runs)
    again = np.full(len(now), runs.run > 0)
    for name, which, amount in _classified(before, now, again):
        for unit in np.unique(currency[which]).tolist():
            figures.add_true(f"mrr_{name}.{unit}", int(amount[which & (currency == unit)].sum()))

    since_now = np.where(goes_on, _known_since(company, runs, month), day)
    since_before = np.where(month > 0, _known_since(company, runs, np.maximum(month - 1, 0)), day)
    plain = (since_now == day) & (since_before <= day)
    plain &= ~(again & (month == 0))
    missing = np.flatnonzero(~plain)
    _add_known(
        figures,
        company,
        runs.where(missing),
        month[missing],
        before[missing],
        now[missing],
        earlier,
    )
    for name, which, amount in _classified(before, now, again):
        for unit in np.unique(currency[which & plain]).tolist():
            one = which & plain & (currency == unit)
            figures.add_known(f"mrr_{name}.{unit}", np.full(int(one.sum()), day), amount[one])


def _currency(company: Company, runs: Runs) -> NDArray[np.str_]:
    return np.array(company.currencies)[first_country_of_customer(company, runs.customer)]


def _classified(before: I64, now: I64, again: Mask) -> list[tuple[str, Mask, I64]]:
    """Each movement, with the subscriptions that have it and their amounts."""
    rises, starts = (now > before) & (before > 0), (before == 0) & (now > 0)
    return [
        ("new", starts & ~again, now),
        ("reactivation", starts & again, now),
        ("expansion", rises, now - before),
        ("contraction", (now < before) & (now > 0), now - before),
        ("churn", (now == 0) & (before > 0), -before),
    ]


def _known_since(company: Company, runs: Runs, month: I64) -> I64:
    """The landing day from which a paid month is known by any of its rows."""
    rules = company.rules.subscriptions
    paid_from = runs.paid_from(rules.trial_days)
    start, end = month_start(paid_from, month), month_start(paid_from, month + 1)
    written = np.stack([start, start + rules.retry_days, end])
    there = np.stack(
        [
            np.ones(len(month), dtype=np.bool_),
            past_due(company, runs, month),
            month + 1 == runs.months,
        ]
    )
    row, one = np.nonzero(there)
    since = np.full(there.shape, NEVER, dtype=np.int64)
    since[row, one] = _rows_known_since(company, runs.where(one), written[row, one])
    earliest: I64 = since.min(axis=0)
    return earliest


def _of_first_months(company: Company, runs: Runs, count: I64) -> list[list[int]]:
    """The same for the first `count` months, at least one, of each subscription."""
    at, ends = np.repeat(np.arange(len(count)), count), np.cumsum(count)
    since = _known_since(company, runs.where(at), np.arange(len(at)) - (ends - count)[at])
    return [part.tolist() for part in np.split(since, ends[:-1])]


def _rows_known_since(company: Company, runs: Runs, day: I64) -> I64:
    """The same for single rows, each written on a day."""
    delay = late(company, "subscriptions", of_customers=True).delay(ActorDays(runs.customer, day))
    bits = row_bits(company, runs.customer, np.full(len(day), runs.slot), day)
    on_time = each_known_since(company, "subscriptions", day, bits)
    # A late row has no defect, but the file of its landing day may be empty.
    return np.where(delay == 0, on_time, arrives(company, "subscriptions", day + delay))


def _add_known(
    figures: Figures,
    company: Company,
    runs: Runs,
    month: I64,
    before: I64,
    now: I64,
    earlier: Runs | None,
) -> None:
    """Add subscriptions whose movement is known differently at different times.

    For each, the movement is classified on every landing day that changes its known amounts.
    `before`, `now`: the amounts of the previous month and of the month, in cents.
    """
    if not len(month):
        return
    periods = _of_first_months(company, runs, np.minimum(month + 1, runs.months))
    former_periods: list[list[int]] = [[] for _ in periods]
    if earlier is not None:
        former = earlier.where(np.searchsorted(earlier.customer, runs.customer))
        former_periods = _of_first_months(company, former, former.months)
    currencies = _currency(company, runs).tolist()
    subscriptions = zip(
        periods,
        former_periods,
        month.tolist(),
        before.tolist(),
        now.tolist(),
        currencies,
        strict=True,
    )
    for since, since_former, number, worth_before, worth, currency in subscriptions:
        shown = dict.fromkeys(MOVEMENTS, 0)
        for time in sorted(
            {max(landed, figures.day) for landed in (*since, *since_former, figures.day)}
        ):
            if time >= NEVER:
                break
            known = {n for n, landed in enumerate(since) if landed <= time}
            ever = any(n < number - 1 for n in known) or any(
                landed <= time for landed in since_former
            )
            value_before, value = worth_before * (number - 1 in known), worth * (number in known)
            movement = dict.fromkeys(MOVEMENTS, 0)
            for name, which, amount in _classified(
                np.array([value_before]), np.array([value]), np.array([ever])
            ):
                movement[name] = int(amount[0]) if which[0] else 0
            for name in MOVEMENTS:
                if movement[name] != shown[name]:
                    figures.add_known(
                        f"mrr_{name}.{currency}", np.array([time]), movement[name] - shown[name]
                    )
            shown = movement
