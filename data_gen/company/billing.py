"""Subscriptions: trials and paid months of customers, and the payments for them.

The key of a period is its first day; `period_end` and `trial_end` are last days. A row is written
when a period starts, again when a failed payment succeeds, and once more, as canceled, on the day
after the last period's end. A customer has up to two subscriptions at a time. Each runs once, or
twice if it is reactivated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from data_gen.company import text
from data_gen.company.accounts import founded_day
from data_gen.company.columns import days, moments, money, pick
from data_gen.company.company import Company
from data_gen.company.hashing import I64, U64, Mask, field, happens, identity, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays, first_country_of_customer, is_solo
from data_gen.company.quantiles import Choice
from data_gen.company.rows import Rows
from data_gen.company.schemas import table

TRIALING, PAST_DUE, ACTIVE, CANCELED = range(4)
STATUSES = ("trialing", "past_due", "active", "canceled")
SLOTS = 2  # subscriptions of a customer at the same time
RUNS = 2
_LAST_COMMON_DAY = (
    27  # counted from 0: months start on the 28th at the latest, a day that every month has
)


@dataclass(frozen=True, eq=False)
class Runs:
    """Times in which subscriptions run without a break."""

    at: I64  # positions of the customers among the given ones
    customer: I64
    slot: int
    run: int
    start: I64  # first day, of the trial where there is one
    trial: Mask
    pays: Mask
    months: I64  # paid months

    def where(self, chosen: Mask | I64) -> Runs:
        arrays = {
            name: value[chosen]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return Runs(slot=self.slot, run=self.run, **arrays)

    def paid_from(self, trial_days: int) -> I64:
        return self.start + self.trial * trial_days


@dataclass(frozen=True, eq=False)
class Periods:
    """Rows of subscriptions: one per subscription and day at most."""

    at: I64  # positions of the customers among the given ones
    customer: I64
    slot: I64
    run: I64
    day: I64  # on which the row is written
    number: I64  # of the paid month in its run, -1 for a trial
    start: I64
    end: I64  # last day
    status: I64
    failed: Mask  # a payment fails on the day
    trial_end: I64  # last day of the trial, -1 where there is none

    def __len__(self) -> int:
        return len(self.number)

    def where(self, chosen: Mask | I64) -> Periods:
        return Periods(**{name: values[chosen] for name, values in vars(self).items()})

    @property
    def key(self) -> I64:
        """A number for each subscription."""
        return self.customer * SLOTS + self.slot


def runs_of(company: Company, customer: I64) -> list[Runs]:
    """All subscriptions that the customers ever have. Solo accounts, which end soon, have none."""
    if len(customer) > 1 and is_range(customer):
        return _runs_of_range(company, int(customer[0]), len(customer))
    return _runs_of(company, customer)


def is_range(numbers: I64) -> bool:
    """Whether they follow one another without a gap."""
    return bool(numbers[-1] - numbers[0] == len(numbers) - 1 and (np.diff(numbers) == 1).all())


@lru_cache(maxsize=2)
def _runs_of_range(company: Company, first: int, count: int) -> list[Runs]:
    """Cached, as the same chunk of customers is needed several times in a row."""
    return _runs_of(company, np.arange(first, first + count, dtype=np.int64))


def _runs_of(company: Company, customer: I64) -> list[Runs]:
    rules = company.rules.subscriptions
    made = []
    lasting = ~is_solo(company, customer) & happens(
        company.draw("subscription", customer), rules.share
    )
    at = np.flatnonzero(lasting)
    for slot in range(SLOTS):
        if slot:
            at = at[
                happens(company.draw("subscription.several", customer[at]), rules.several_share)
            ]
        who = customer[at]
        key = who * SLOTS + slot
        start = founded_day(company, who) + rules.start_days.at(
            company.draw("subscription.start", key)
        )
        trial = happens(company.draw("subscription.trial", key), rules.trial_share)
        pays = ~trial | happens(
            company.draw("subscription.converted", key), rules.trial_converted_share
        )
        months = rules.months.at(company.draw("subscription.months", key))
        first = Runs(at, who, slot, 0, start, trial, pays, months)
        made.append(first)
        again = pays & happens(company.draw("subscription.again", key), rules.reactivated_share)
        ended = month_start(first.paid_from(rules.trial_days)[again], months[again])
        pause = rules.reactivated_after_days.at(company.draw("subscription.pause", key[again]))
        months = rules.months.at(company.draw("subscription.months.again", key[again]))
        none = np.zeros(len(ended), dtype=np.bool_)
        made.append(Runs(at[again], who[again], slot, 1, ended + pause, none, ~none, months))
    return made


def changed_periods(company: Company, who: ActorDays) -> Periods:
    """The periods that start, are paid late or end for good on each customer's day.

    They are in the order of `who`.
    """
    parts = [_changes(company, run, who.day[run.at]) for run in runs_of(company, who.actor)]
    every = Periods(
        **{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    )
    return every.where(np.argsort(every.at * (SLOTS * RUNS) + every.slot, kind="stable"))


def _changes(company: Company, runs: Runs, day: I64) -> Periods:
    rules = company.rules.subscriptions
    started = day >= runs.start
    runs, day = runs.where(started), day[started]
    paid_from = runs.paid_from(rules.trial_days)
    number, start = paid_month(paid_from, day)
    paying = runs.pays & (day >= paid_from)
    due = past_due(company, runs, number)

    in_trial = runs.trial & (day == runs.start)
    lost = runs.trial & ~runs.pays & (day == paid_from)
    goes_on = paying & (start == day) & (number < runs.months)
    paid_late = paying & (start + rules.retry_days == day) & (number < runs.months) & due
    ends = paying & (start == day) & (number == runs.months)
    rows = np.flatnonzero(in_trial | lost | goes_on | paid_late | ends)
    in_trial, lost, goes_on, ends, due = (
        in_trial[rows],
        lost[rows],
        goes_on[rows],
        ends[rows],
        due[rows],
    )
    of_trial = in_trial | lost
    number = np.where(of_trial, -1, number[rows] - ends)
    paid_from, first = paid_from[rows], runs.start[rows]
    status = np.where(
        in_trial,
        TRIALING,
        np.where(lost | ends, CANCELED, np.where(goes_on & due, PAST_DUE, ACTIVE)),
    )
    month = np.maximum(number, 0)
    return Periods(
        at=runs.at[rows],
        customer=runs.customer[rows],
        slot=np.full(len(rows), runs.slot),
        run=np.full(len(rows), runs.run),
        day=day[rows],
        number=number,
        start=np.where(of_trial, first, month_start(paid_from, month)),
        end=np.where(of_trial, paid_from, month_start(paid_from, month + 1)) - 1,
        status=status,
        failed=status == PAST_DUE,
        trial_end=np.where(runs.trial[rows], paid_from - 1, -1),
    )


def past_due(company: Company, runs: Runs, number: I64) -> Mask:
    """Whether the payment of a paid month fails at first."""
    month = (runs.customer * SLOTS + runs.slot) * RUNS + runs.run
    return happens(
        company.draw("subscription.past_due", month, number),
        company.rules.subscriptions.past_due_share,
    )


def paid_month(paid_from: I64, day: I64) -> tuple[I64, I64]:
    """The paid month in which each day lies, and its first day."""
    number = np.maximum(_month(day) - _month(paid_from), 0)
    start = month_start(paid_from, number)
    number = np.maximum(number - (start > day), 0)
    return number, month_start(paid_from, number)


def month_start(paid_from: I64, number: I64) -> I64:
    """The first day of each subscription's n-th paid month."""
    month = _month(paid_from)
    within = np.minimum(paid_from - _first_day(month), _LAST_COMMON_DAY)
    return np.where(number == 0, paid_from, _first_day(month + number) + within)


def _month(day: I64) -> I64:
    return day.astype("M8[D]").astype("M8[M]").astype(np.int64)


def _first_day(month: I64) -> I64:
    return month.astype("M8[M]").astype("M8[D]").astype(np.int64)


def plan_of(company: Company, key: I64, number: I64) -> I64:
    """The plan of a subscription in a paid month. Some move one plan up or down after a while."""
    rules = company.rules.subscriptions
    plan = Choice.of([p.weight for p in rules.plans.values()]).at(
        company.draw("subscription.plan", key)
    )
    bits = company.draw("subscription.change", key)
    up = happens(bits, rules.upgrade_share)
    down = ~up & happens(~bits, rules.downgrade_share)  # from the other end of the same draw
    changed = number >= rules.plan_change_after_months.at(splitmix64(bits))
    moved: I64 = np.clip(plan + changed * (up.astype(np.int64) - down), 0, len(rules.plans) - 1)
    return moved


def amount_of(company: Company, key: I64, number: I64) -> I64:
    """Cents a month: the number of seats times the plan's price."""
    rules = company.rules.subscriptions
    seats = rules.seats.at(company.draw("subscription.seats", key))
    prices: I64 = np.array([plan.price for plan in rules.plans.values()], dtype=np.int64)
    return seats * prices[plan_of(company, key, number)]


def row_bits(company: Company, customer: I64, slot: I64, day: I64) -> U64:
    """Random bits of the row that a subscription has on a day."""
    return company.draw("subscription.row", identity(day, customer, slot).view(np.int64))


def _updated(company: Company, periods: Periods) -> I64:
    return periods.day * DAY_MS + company.hours.at(
        row_bits(company, periods.customer, periods.slot, periods.day)
    )


def _currency(company: Company, periods: Periods) -> pa.Array:
    """A subscription keeps the currency of the country where its account was founded."""
    return pick(company.currencies, first_country_of_customer(company, periods.customer))


def _ids(periods: Periods) -> pa.Array:
    """'sub000012', and 'sub000012b' for a second one at the same time."""
    return text.join([text.numbered("sub", periods.customer, 6), pick(["", "b"], periods.slot)])


def subscribers_with_changes(company: Company, who: ActorDays) -> ActorDays:
    """The customers whose subscriptions have a row on their day, each once."""
    if len(who) > 1 and is_range(who.actor) and (who.day == who.day[0]).all():
        return _subscribers_of_range(company, int(who.actor[0]), len(who), int(who.day[0]))
    at = changed_periods(company, who).at
    return who.where(at[np.diff(at, prepend=-1) > 0])


@lru_cache(maxsize=2)
def _subscribers_of_range(company: Company, first: int, count: int, day: int) -> ActorDays:
    """The same for a chunk of customers. Cached, as periods and payments need it."""
    who = ActorDays.on(day, np.arange(first, first + count, dtype=np.int64))
    at = changed_periods(company, who).at
    return who.where(at[np.diff(at, prepend=-1) > 0])


def period_rows(company: Company, who: ActorDays) -> Rows:
    """The rows of the periods that change on each customer's day."""
    periods = changed_periods(company, who)
    rows = table(
        "subscriptions",
        {
            "subscription_id": _ids(periods),
            "customer_id": text.numbered("c", periods.customer, 6),
            "period_start": days(periods.start),
            "monthly_amount": money(amount_of(company, periods.key, periods.number)),
            "currency": _currency(company, periods),
            "updated_at": moments(_updated(company, periods)),
            "period_end": days(periods.end),
            "plan_id": pick(
                list(company.rules.subscriptions.plans),
                plan_of(company, periods.key, periods.number),
            ),
            "status": pick(STATUSES, periods.status),
            "trial_end": days(periods.trial_end, periods.trial_end >= 0),
        },
    )
    return Rows(rows, row_bits(company, periods.customer, periods.slot, periods.day), periods.day)


def period_payments(company: Company, who: ActorDays) -> Rows:
    """The payments for paid months: at the start, and again later where the first one fails."""
    periods = changed_periods(company, who)
    tried = (periods.status == ACTIVE) | (periods.status == PAST_DUE)
    due = periods.where(tried & (amount_of(company, periods.key, periods.number) > 0))
    customer, day = due.customer, due.day
    methods = company.rules.payments.methods
    method = Choice.of(list(methods.values())).at(company.draw("subscription.method", due.key))
    bits = company.draw("subscription.payment", identity(day, customer, due.slot).view(np.int64))
    at = np.minimum(_updated(company, due) + field(bits, 0, 14), day * DAY_MS + DAY_MS - 1)
    rows = table(
        "payments",
        {
            "payment_id": text.hex_ids("z", bits),
            "amount": money(amount_of(company, due.key, due.number)),
            "currency": _currency(company, due),
            "paid_at": moments(at),
            "customer_id": text.numbered("c", customer, 6),
            "order_id": pa.nulls(len(customer), pa.string()),
            "subscription_id": _ids(due),
            "kind": pick(["charge"], customer * 0),
            "method": pick(list(methods), method),
            "status": pick(["succeeded", "failed"], due.failed.astype(np.int64)),
        },
    )
    return Rows(rows, bits, day)
