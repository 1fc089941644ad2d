"""Movements of the monthly recurring revenue on a day, from the plan of the subscriptions.

The revenue of a subscription on a day is the monthly amount of the paid period in which the day lies, whatever its
status; trials have none. What it is more or less than on the day before is new, expansion, contraction, churn or, where
there was one earlier but not on the day before, reactivation. Amounts are in the subscription's currency.
"""

from __future__ import annotations

import numpy as np

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
from data_gen.company.recovery import NEVER, arrives, known_since

MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")


class MovementFigures(Figures):
    """Figures of a day with its movements of recurring revenue."""

    def __init__(self, company: Company, day: int) -> None:
        super().__init__(company, day)
        for currency in sorted(set(company.currencies)) if day >= company.founded else ():
            for movement in MOVEMENTS:
                self.add_true(f"mrr_{movement}.{currency}", 0)

    def customers(self, who: ActorDays) -> None:
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
    currency = np.array(company.currencies)[first_country_of_customer(company, runs.customer)]
    again = np.full(len(now), runs.run > 0)
    for name, which, amount in _classified(before, now, again):
        for unit in np.unique(currency[which]).tolist():
            figures.add_true(f"mrr_{name}.{unit}", int(amount[which & (currency == unit)].sum()))

    since_now = np.where(goes_on, _known_since(company, runs, month), day)
    since_before = np.where(month > 0, _known_since(company, runs, np.maximum(month - 1, 0)), day)
    plain = (since_now == day) & (since_before <= day)
    # Where something is missing for a while, each landing day that changes what is known is looked at.
    for at in np.flatnonzero(~plain | (again & (month == 0))).tolist():
        _add_known(figures, company, runs, at, int(month[at]), earlier, str(currency[at]))
    plain &= ~(again & (month == 0))
    for name, which, amount in _classified(before, now, again):
        for unit in np.unique(currency[which & plain]).tolist():
            one = which & plain & (currency == unit)
            figures.add_known(f"mrr_{name}.{unit}", np.full(int(one.sum()), day), amount[one])


def _classified(before: I64, now: I64, again: Mask) -> list[tuple[str, Mask, I64]]:
    """Each movement: which subscriptions have it, and by how much."""
    rises, starts = (now > before) & (before > 0), (before == 0) & (now > 0)
    return [
        ("new", starts & ~again, now),
        ("reactivation", starts & again, now),
        ("expansion", rises, now - before),
        ("contraction", (now < before) & (now > 0), now - before),
        ("churn", (now == 0) & (before > 0), -before),
    ]


def _known_since(company: Company, runs: Runs, month: I64) -> I64:
    """From which landing day on a paid month is known, by any of its rows."""
    rules = company.rules.subscriptions
    paid_from = runs.paid_from(rules.trial_days)
    start, end = month_start(paid_from, month), month_start(paid_from, month + 1)
    since = _row_known_since(company, runs, start)
    due = past_due(company, runs, month)
    since = np.where(due, np.minimum(since, _row_known_since(company, runs, start + rules.retry_days)), since)
    last = month + 1 == runs.months
    return np.where(last, np.minimum(since, _row_known_since(company, runs, end)), since)


def _of_all_months(company: Company, one: Runs, months: I64) -> list[int]:
    """The same of some months of one subscription."""
    found: list[int] = _known_since(company, one.where(np.zeros(len(months), dtype=np.int64)), months).tolist()
    return found


def _row_known_since(company: Company, runs: Runs, day: I64) -> I64:
    """The same of the row that is written on a day."""
    delay = late(company, "subscriptions", of_customers=True).delay(ActorDays(runs.customer, day))
    bits = row_bits(company, runs.customer, np.full(len(day), runs.slot), day)
    since = np.zeros(len(day), dtype=np.int64)
    for written in np.unique(day).tolist():
        on_time = (day == written) & (delay == 0)
        since[on_time] = known_since(company, "subscriptions", written, bits[on_time])
    for landed in np.unique((day + delay)[delay > 0]).tolist():
        # What lands late has no defect; but the file of that day may be empty.
        since[(delay > 0) & (day + delay == landed)] = arrives(company, "subscriptions", landed)
    return since


def _add_known(
    figures: Figures, company: Company, runs: Runs, at: int, month: int, earlier: Runs | None, currency: str
) -> None:
    """One subscription, whose movement looks different at different times."""
    one = runs.where(np.arange(len(runs.customer)) == at)
    months = np.arange(min(month + 1, int(one.months[0])))
    periods = list(zip(_of_all_months(company, one, months), months.tolist(), strict=True))
    former: list[int] = []
    if earlier is not None:
        before = earlier.where(earlier.customer == one.customer[0])
        former = _of_all_months(company, before, np.arange(int(before.months[0])))
    key = np.repeat(one.customer * SLOTS + one.slot, len(months))
    amounts = dict(zip(months.tolist(), amount_of(company, key, months).tolist(), strict=True))
    day, shown = figures.day, dict.fromkeys(MOVEMENTS, 0)
    times = sorted({max(since, day) for since, _ in periods} | {max(s, day) for s in former} | {day})
    for time in times:
        if time >= NEVER:
            continue
        known = {n for since, n in periods if since <= time}
        now = amounts[month] if month in known else 0
        was = amounts[month - 1] if month - 1 in known else 0
        ever = any(n < month - 1 for n in known) or any(since <= time for since in former)
        movement = dict.fromkeys(MOVEMENTS, 0)
        for name, which, amount in _classified(np.array([was]), np.array([now]), np.array([ever])):
            movement[name] = int(amount[0]) if which[0] else 0
        for name in MOVEMENTS:
            if movement[name] != shown[name]:
                figures.add_known(f"mrr_{name}.{currency}", np.array([time]), movement[name] - shown[name])
        shown = movement
