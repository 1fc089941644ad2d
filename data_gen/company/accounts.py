"""Rows of customers: one for each account founded, changed or deleted, as it happens."""

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
    changes_in_window,
    end_day,
    first_country_of_customer,
    founder_of,
    is_solo,
    signup_ms,
)
from data_gen.company.quantiles import Choice
from data_gen.company.rows import Rows
from data_gen.company.schemas import table

SEGMENT, COUNTRY, INDUSTRY = range(3)


@dataclass(frozen=True, eq=False)
class Account:
    """How customers are on a day."""

    segment: I64
    country: I64
    industry: I64


def customers_by(company: Company, day: int) -> int:
    """The number of customers founded until the end of `day`."""
    return -(-company.growth.users_by(day) // company.rules.customers.users_each)


def founded_day(company: Company, customer: I64) -> I64:
    return company.growth.signup_day(founder_of(company, customer))


def deleted_on(company: Company, who: ActorDays) -> Mask:
    """Accounts that are deleted on their day: those that nobody joins go with their founder."""
    solo = is_solo(company, who.actor)
    solo[solo] = end_day(company, founder_of(company, who.actor[solo])) == who.day[solo]
    return solo


def account_on(company: Company, who: ActorDays) -> Account:
    """How each customer is at the end of its day."""
    rules = company.rules.customers
    segments, industries = Choice.of(list(rules.segments.values())), Choice.of(list(rules.industries.values()))
    segment = segments.at(company.draw("customer.segment", who.actor))
    industry = industries.at(company.draw("customer.industry", who.actor))
    country = first_country_of_customer(company, who.actor)
    age = who.day - founded_day(company, who.actor)
    for window in range(int((age.max() - 1) // rules.change_window_days + 1) if len(age) else 0):
        change = _changes(company, who.actor, window)
        seen = change.happened & (change.day <= who.day)
        segment = np.where(seen & (change.kind == SEGMENT), segments.at(change.bits), segment)
        country = np.where(seen & (change.kind == COUNTRY), company.country_choice.at(change.bits), country)
        industry = np.where(seen & (change.kind == INDUSTRY), industries.at(change.bits), industry)
    return Account(segment, country, industry)


def changed_customers(company: Company, who: ActorDays) -> ActorDays:
    """Those of whom a row is written on their day."""
    born = founded_day(company, who.actor)
    window = np.maximum(who.day - born - 1, 0) // company.rules.customers.change_window_days
    change = _changes(company, who.actor, window)
    return who.where((who.day == born) | (change.happened & (change.day == who.day)) | deleted_on(company, who))


def customer_rows(company: Company, who: ActorDays) -> Rows:
    """The rows of `changed_customers`, how each customer is from then on."""
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


def _changes(company: Company, customer: I64, window: I64 | int) -> Changes:
    rules = company.rules.customers
    kinds = Choice.of([rules.changes[kind] for kind in ("segment", "country", "industry")])
    found = changes_in_window(
        company,
        "customer.change",
        customer,
        founded_day(company, customer),
        window,
        rules.change_window_days,
        rules.change_share,
        kinds,
    )
    # Accounts that nobody joins end early; they do not change, so that nothing changes after their end.
    return Changes(found.happened & ~is_solo(company, customer), found.day, found.kind, found.bits)


def _names(company: Company, customer: I64) -> pa.Array:
    def word(stream: str, words: tuple[str, ...]) -> pa.Array:
        return pick(words, below(draw(company.seed, stream, customer), len(words)))

    families = company.last_names
    return text.join([word("customer.name.1", families), word("customer.name.2", company.company_words)], " ")
