"""Subscriptions: trials and paid months of customers, and the payments for them.

A period is keyed by its first day; `period_end` and `trial_end` are last days. A row is written when a period starts,
and once more, as canceled, on the day after its end where no further period follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_gen.company import text
from data_gen.company.accounts import founded_day
from data_gen.company.columns import days, moments, money, pick
from data_gen.company.company import Company
from data_gen.company.hashing import I64, U64, Mask, field, happens, identity, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays, first_country_of_customer, is_solo
from data_gen.company.quantiles import Choice
from data_gen.company.schemas import table

TRIALING, ACTIVE, CANCELED = range(3)
STATUSES = ("trialing", "active", "canceled")
_LAST_COMMON_DAY = 27  # months start on the 28th at the latest (counted from 0), so that every month has that day


@dataclass(frozen=True, eq=False)
class Periods:
    """Rows of subscriptions, one per customer and day at most."""

    who: ActorDays
    bits: U64
    number: I64  # of the paid month, -1 for a trial
    start: I64
    end: I64  # last day
    status: I64
    trial_end: I64  # last day of the trial, -1 where there is none

    def __len__(self) -> int:
        return len(self.number)


def changed_periods(company: Company, who: ActorDays) -> Periods:
    """The periods that start or end for good on each customer's day."""
    rules = company.rules.subscriptions
    customer = who.actor
    # Accounts that nobody joins never subscribe: they are gone soon.
    subscribes = happens(company.draw("subscription", customer), rules.share) & ~is_solo(company, customer)
    who = who.where(subscribes)
    customer, day = who.actor, who.day
    start = founded_day(company, customer) + rules.start_days.at(company.draw("subscription.start", customer))
    who, start = who.where(day >= start), start[day >= start]
    customer, day = who.actor, who.day

    trial = happens(company.draw("subscription.trial", customer), rules.trial_share)
    pays = ~trial | happens(company.draw("subscription.converted", customer), rules.trial_converted_share)
    trial_end = start + rules.trial_days
    paid_from = np.where(trial, trial_end, start)
    number, begins = _paid_month(paid_from, day)
    months = rules.months.at(company.draw("subscription.months", customer))

    in_trial = trial & (day == start)
    lost = trial & ~pays & (day == trial_end)
    goes_on = pays & begins & (number < months)
    ends = pays & begins & (number == months)
    rows = np.flatnonzero(in_trial | lost | goes_on | ends)
    of_trial = (in_trial | lost)[rows]
    number = np.where(of_trial, -1, number[rows] - ends[rows])
    paid_from = paid_from[rows]
    status = np.where(in_trial[rows], TRIALING, np.where(goes_on[rows], ACTIVE, CANCELED))
    who = who.where(rows)
    return Periods(
        who=who,
        bits=company.draw("subscription.row", identity(who.day, who.actor, who.actor * 0).view(np.int64)),
        number=number,
        start=np.where(of_trial, start[rows], _month_start(paid_from, np.maximum(number, 0))),
        end=np.where(of_trial, trial_end[rows], _month_start(paid_from, np.maximum(number, 0) + 1)) - 1,
        status=status,
        trial_end=np.where(trial[rows], trial_end[rows] - 1, -1),
    )


def _paid_month(paid_from: I64, day: I64) -> tuple[I64, Mask]:
    """Which paid month the day belongs to or starts, and whether it starts on the day."""
    number = _month(day) - _month(paid_from)
    return number, (day >= paid_from) & (_month_start(paid_from, np.maximum(number, 0)) == day)


def _month_start(paid_from: I64, number: I64) -> I64:
    """The first day of each subscription's n-th paid month."""
    month = _month(paid_from)
    within = np.minimum(paid_from - _first_day(month), _LAST_COMMON_DAY)
    return np.where(number == 0, paid_from, _first_day(month + number) + within)


def _month(day: I64) -> I64:
    return day.astype("M8[D]").astype("M8[M]").astype(np.int64)


def _first_day(month: I64) -> I64:
    return month.astype("M8[M]").astype("M8[D]").astype(np.int64)


def _plan(company: Company, periods: Periods) -> I64:
    """The plan of each period: some move one plan up or down after some months."""
    rules = company.rules.subscriptions
    customer = periods.who.actor
    plan = Choice.of([p.weight for p in rules.plans.values()]).at(company.draw("subscription.plan", customer))
    bits = company.draw("subscription.change", customer)
    up = happens(bits, rules.upgrade_share)
    down = ~up & happens(~bits, rules.downgrade_share)  # from the other end of the same draw
    changed = periods.number >= rules.plan_change_after_months.at(splitmix64(bits))
    moved: I64 = np.clip(plan + changed * (up.astype(np.int64) - down), 0, len(rules.plans) - 1)
    return moved


def _amount(company: Company, periods: Periods) -> I64:
    rules = company.rules.subscriptions
    seats = rules.seats.at(company.draw("subscription.seats", periods.who.actor))
    prices: I64 = np.array([plan.price for plan in rules.plans.values()], dtype=np.int64)
    return seats * prices[_plan(company, periods)]


def _updated(company: Company, periods: Periods) -> I64:
    return periods.who.day * DAY_MS + company.hours.at(periods.bits)


def _currency(company: Company, periods: Periods) -> pa.Array:
    """A subscription keeps the currency of the country where its account was founded."""
    return pick(company.currencies, first_country_of_customer(company, periods.who.actor))


def subscribers_with_changes(company: Company, who: ActorDays) -> ActorDays:
    """Those of whose subscription a row is written on their day."""
    return changed_periods(company, who).who


def period_rows(company: Company, who: ActorDays) -> tuple[pa.Table, U64]:
    """The rows of the periods that start or end on each customer's day, with random bits for each row."""
    periods = changed_periods(company, who)
    customer = periods.who.actor
    rows = table(
        "subscriptions",
        {
            "subscription_id": text.numbered("sub", customer, 6),
            "customer_id": text.numbered("c", customer, 6),
            "period_start": days(periods.start),
            "monthly_amount": money(_amount(company, periods)),
            "currency": _currency(company, periods),
            "updated_at": moments(_updated(company, periods)),
            "period_end": days(periods.end),
            "plan_id": pick(list(company.rules.subscriptions.plans), _plan(company, periods)),
            "status": pick(STATUSES, periods.status),
            "trial_end": days(periods.trial_end, periods.trial_end >= 0),
        },
    )
    return rows, periods.bits


def period_payments(company: Company, who: ActorDays) -> tuple[pa.Table, U64]:
    """One payment for each paid month that starts, a few seconds after its row, with random bits."""
    periods = changed_periods(company, who)
    paid = np.flatnonzero((periods.status == ACTIVE) & (_amount(company, periods) > 0))
    due = Periods(who=periods.who.where(paid), **{k: v[paid] for k, v in vars(periods).items() if k != "who"})
    customer, day = due.who.actor, due.who.day
    methods = company.rules.payments.methods
    method = Choice.of(list(methods.values())).at(company.draw("subscription.method", customer))
    bits = company.draw("subscription.payment", identity(day, customer, customer * 0).view(np.int64))
    at = np.minimum(_updated(company, due) + field(bits, 0, 14), day * DAY_MS + DAY_MS - 1)
    rows = table(
        "payments",
        {
            "payment_id": text.hex_ids("z", bits),
            "amount": money(_amount(company, due)),
            "currency": _currency(company, due),
            "paid_at": moments(at),
            "customer_id": text.numbered("c", customer, 6),
            "order_id": pa.nulls(len(customer), pa.string()),
            "subscription_id": text.numbered("sub", customer, 6),
            "kind": pick(["charge"], customer * 0),
            "method": pick(list(methods), method),
            "status": pick(["succeeded"], customer * 0),
        },
    )
    return rows, bits
