"""Rows of customers: one for each account that is founded, changed or deleted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_gen.company import text
from data_gen.company.columns import flags, moments, pick
from data_gen.company.company import Company
from data_gen.company.hashing import I64, Mask, below, draw, identity
from data_gen.company.lives import (
    DAY_MS,
    ActorDays,
    Changes,
    changes_in_windows,
    end_day,
    first_country_of_customer,
    founder_of,
    is_solo,
    signup_ms,
    window_on,
    windows_begun,
)
from data_gen.company.quantiles import Choice
from data_gen.company.rows import Rows
from data_gen.company.schemas import table

SEGMENT, COUNTRY, INDUSTRY = range(3)


@dataclass(frozen=True, eq=False)
class Account:
    """The state of customers on a day."""

    segment: I64
    country: I64
    industry: I64


def customers_by(company: Company, day: int) -> int:
    """The number of customers founded until the end of `day`."""
    return -(-company.growth.users_by(day) // company.rules.customers.users_each)


def founded_day(company: Company, customer: I64) -> I64:
    return company.growth.signup_day(founder_of(company, customer))


def deleted_on(company: Company, who: ActorDays) -> Mask:
    """Which accounts are deleted on their day: solo accounts, together with their founder."""
    solo = is_solo(company, who.actor)
    solo[solo] = end_day(company, founder_of(company, who.actor[solo])) == who.day[solo]
    return solo


def account_on(company: Company, who: ActorDays) -> Account:
    """The state of each customer at the end of its day."""
    rules = company.rules.customers
    segments, industries = (
        Choice.of(list(rules.segments.values())),
        Choice.of(list(rules.industries.values())),
    )
    segment = segments.at(company.draw("customer.segment", who.actor))
    industry = industries.at(company.draw("customer.industry", who.actor))
    country = first_country_of_customer(company, who.actor)
    born = founded_day(company, who.actor)
    at, window = windows_begun(who.day, born, rules.change_window_days)
    found = _changes(company, who.actor[at], born[at], window)
    happened = at[found.at]
    seen = found.day <= who.day[happened]
    # Changes are in the order of time: of several changes the last one stays.
    for kind, values, choice in (
        (SEGMENT, segment, segments),
        (COUNTRY, country, company.country_choice),
        (INDUSTRY, industry, industries),
    ):
        of_kind = seen & (found.kind == kind)
        values[happened[of_kind]] = choice.at(found.bits[of_kind])
    return Account(segment, country, industry)


def changed_customers(company: Company, who: ActorDays) -> ActorDays:
    """The customers with a row on their day."""
    born = founded_day(company, who.actor)
    window = window_on(who.day, born, company.rules.customers.change_window_days)
    change = _changes(company, who.actor, born, window)
    changed = who.day == born
    changed[change.at] |= change.day == who.day[change.at]
    return who.where(changed | deleted_on(company, who))


def customer_rows(company: Company, who: ActorDays) -> Rows:
    """The rows of `changed_customers`, with the new state of each customer."""
    customer, day = who.actor, who.day
    bits = company.draw("customer.row", identity(day, customer, customer * 0).view(np.int64))
    created = signup_ms(company, founder_of(company, customer))
    updated = np.where(created // DAY_MS == day, created, day * DAY_MS + company.hours.at(bits))
    now = account_on(company, who)
    rules = company.rules.customers
    rows = table(
        "customers",
        {
            "customer_id": text.numbered("c", customer, 6),
            "updated_at": moments(updated),
            "name": _names(company, customer),
            "segment": pick(list(rules.segments), now.segment),
            "industry": pick(list(rules.industries), now.industry),
            "country": pick(company.countries, now.country),
            "created_at": moments(created),
            "is_deleted": flags(deleted_on(company, who)),
        },
    )
    return Rows(rows, bits, day)


def _changes(company: Company, customer: I64, born: I64, window: I64) -> Changes:
    """The attribute of each customer that changes in a window of its life.

    Solo accounts end early. They do not change, so that nothing changes after their end.
    """
    rules = company.rules.customers
    kinds = Choice.of([rules.changes[kind] for kind in ("segment", "country", "industry")])
    found = changes_in_windows(
        company,
        "customer.change",
        customer,
        born,
        window,
        rules.change_window_days,
        rules.change_share,
        kinds,
    )
    return found.where(~is_solo(company, customer[found.at]))


def _names(company: Company, customer: I64) -> pa.Array:
    def word(stream: str, words: tuple[str, ...]) -> pa.Array:
        return pick(words, below(draw(company.seed, stream, customer), len(words)))

    families = company.last_names
    return text.join(
        [word("customer.name.1", families), word("customer.name.2", company.company_words)], " "
    )
