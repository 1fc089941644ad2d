"""The life of a user: when it signs up, to whom it belongs, how it changes, when it is away and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from data_gen.company.company import Company
from data_gen.company.hashing import I64, U64, Mask, below, field, happens, splitmix64
from data_gen.company.quantiles import Choice

DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False)
class ActorDays:
    """Who is asked about, and for which day: users or customers by number. Any mix of days is possible."""

    actor: I64
    day: I64

    def __len__(self) -> int:
        return len(self.actor)

    def where(self, chosen: Mask | I64) -> ActorDays:
        return ActorDays(self.actor[chosen], self.day[chosen])

    @classmethod
    def on(cls, day: int, actor: I64) -> ActorDays:
        return cls(actor, np.full(len(actor), day, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Changes:
    """What changed in one window of several lives: at most one change each."""

    happened: Mask
    day: I64
    kind: I64
    bits: U64  # what the new value is drawn from


def changes_in_window(
    company: Company, stream: str, actor: I64, born: I64, window: I64 | int, length: int, share: Decimal, kinds: Choice
) -> Changes:
    """The change of each actor in the given window of its life. The day of birth itself never changes."""
    bits = company.draw(stream, actor, window)
    more = splitmix64(bits)
    day = born + 1 + np.multiply(window, length) + below(more, length)
    return Changes(happens(bits, share), day, kinds.at_step(field(more, 0, 12)), splitmix64(more))


# -- birth, end and belonging --------------------------------------------------------------------------------


def signup_ms(company: Company, user: I64) -> I64:
    """The instant of the signup (milliseconds since 1970). It rises with the user's number."""
    place = company.growth.place_in_day(user, field(company.draw("user.signup", user), 32, 32))
    day = company.growth.signup_day(user)
    return day * DAY_MS + company.calendar.around_outage(day, company.hours.at_share(place))


def end_day(company: Company, user: I64) -> I64:
    """The first day on which the user does not come any more."""
    return company.growth.signup_day(user) + company.rules.users.life_days.at(company.draw("user.life", user))


def is_founder(company: Company, user: I64) -> Mask:
    founds: Mask = user % company.rules.customers.users_each == 0
    return founds


def founder_of(company: Company, customer: I64) -> I64:
    """The user who founded the account."""
    return customer * company.rules.customers.users_each


def is_solo(company: Company, customer: I64) -> Mask:
    """Accounts that nobody joins, so that they can go with their founder."""
    every = company.rules.customers.solo_every
    solo: Mask = customer % every == every - 1
    return solo


def customer_of(company: Company, user: I64) -> I64:
    """The account of each user: its own for a founder, else one founded before, newer ones more often."""
    newest = user // company.rules.customers.users_each
    bits = company.draw("user.customer", user)
    back = (newest * ((field(bits, 0, 16) * field(bits, 16, 16)) >> 16)) >> 16
    joined = newest - back
    joined -= is_solo(company, joined)  # customer 0 is never solo, so this never falls below 0
    return np.where(is_founder(company, user), newest, joined)


def asks_deletion(company: Company, user: I64) -> Mask:
    """Users who are deleted on their end day."""
    solo = is_founder(company, user) & is_solo(company, user // company.rules.customers.users_each)
    return solo | happens(company.draw("user.deleted", user), company.rules.users.deleted_share)


# -- profile -------------------------------------------------------------------------------------------------

COUNTRY, ROLE, PHONE, OPT_IN = range(4)


@dataclass(frozen=True, eq=False)
class Profile:
    country: I64  # code in company.countries
    role: I64  # position in rules.users.roles
    phone: U64
    opt_in: Mask


def user_changes(company: Company, user: I64, window: I64 | int) -> Changes:
    rules = company.rules.users
    kinds = Choice.of([rules.changes[kind] for kind in ("country", "role", "phone", "opt_in")])
    born = company.growth.signup_day(user)
    found = changes_in_window(
        company, "user.change", user, born, window, rules.change_window_days, rules.change_share, kinds
    )
    return Changes(found.happened & (found.day < end_day(company, user)), found.day, found.kind, found.bits)


def profile(company: Company, who: ActorDays) -> Profile:
    """How each user is at the end of its day."""
    rules = company.rules.users
    user = who.actor
    roles = Choice.of(list(rules.roles.values()))
    country = home_country(company, user)
    role = roles.at(company.draw("user.role", user))
    phone = company.draw("user.phone", user)
    opt_in = happens(company.draw("user.opt_in", user), rules.opt_in_share)
    for window in range(_windows(who.day - company.growth.signup_day(user), rules.change_window_days)):
        change = user_changes(company, user, window)
        seen = change.happened & (change.day <= who.day)
        country = np.where(seen & (change.kind == COUNTRY), company.country_choice.at(change.bits), country)
        role = np.where(seen & (change.kind == ROLE), roles.at(change.bits), role)
        phone = np.where(seen & (change.kind == PHONE), change.bits, phone)
        opt_in = opt_in ^ (seen & (change.kind == OPT_IN))
    return Profile(country, role, phone, opt_in)


def country_on(company: Company, who: ActorDays) -> I64:
    """Only the country of `profile`, which every session needs."""
    country = home_country(company, who.actor)
    for window in range(
        _windows(who.day - company.growth.signup_day(who.actor), company.rules.users.change_window_days)
    ):
        change = user_changes(company, who.actor, window)
        moved = change.happened & (change.day <= who.day) & (change.kind == COUNTRY)
        country = np.where(moved, company.country_choice.at(change.bits), country)
    return country


def home_country(company: Company, user: I64) -> I64:
    """Where the user lives at its signup: mostly where its account was founded."""
    bits = company.draw("user.abroad", user)
    at_home = first_country_of_customer(company, customer_of(company, user))
    return np.where(
        happens(bits, company.rules.users.abroad_share), company.country_choice.at(splitmix64(bits)), at_home
    )


def first_country_of_customer(company: Company, customer: I64) -> I64:
    return company.country_choice.at(company.draw("customer.country", customer))


def _windows(age: I64, length: int) -> int:
    """How many windows the oldest of them has begun. Age 0 is the day of birth, before the first window."""
    return int((age.max() - 1) // length + 1) if len(age) else 0
