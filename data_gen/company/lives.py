"""The life of a user: its signup, its account, its changes and its end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from data_gen.company.company import Company
from data_gen.company.hashing import I64, U64, Mask, below, field, happens, splitmix64
from data_gen.company.quantiles import Choice

DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False)
class ActorDays:
    """Pairs of an actor, a user or customer by number, and a day. Days can be mixed."""

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
    """The changes in some windows of lives, at most one in each."""

    at: I64  # positions of the actors among the given ones
    day: I64
    kind: I64
    bits: U64  # random, for the new value

    def where(self, chosen: Mask) -> Changes:
        return Changes(self.at[chosen], self.day[chosen], self.kind[chosen], self.bits[chosen])


def changes_in_windows(
    company: Company,
    stream: str,
    actor: I64,
    born: I64,
    window: I64,
    length: int,
    share: Decimal,
    kinds: Choice,
) -> Changes:
    """The change of each actor in a window of its life. None is on the day of birth."""
    bits = company.draw(stream, actor, window)
    at = np.flatnonzero(happens(bits, share))
    more = splitmix64(bits[at])
    day = born[at] + 1 + window[at] * length + below(more, length)
    return Changes(at, day, kinds.at_step(field(more, 0, 12)), splitmix64(more))


def window_on(day: I64, born: I64, length: int) -> I64:
    """The window of each life in which its day lies."""
    window: I64 = np.maximum(day - born - 1, 0) // length
    return window


def windows_begun(day: I64, born: I64, length: int) -> tuple[I64, I64]:
    """All windows that have begun by the day of each life, in order.

    Returns the positions of the lives, and the windows.
    """
    begun = (day - born - 1) // length + 1  # none on the day of birth
    at = np.repeat(np.arange(len(begun)), begun)
    return at, np.arange(len(at)) - (np.cumsum(begun) - begun)[at]


# -- birth, end and belonging ------------------------------------------------------------------


def signup_ms(company: Company, user: I64) -> I64:
    """The instant of the signup, in milliseconds since 1970. It rises with the user's number."""
    place = company.growth.place_in_day(user, field(company.draw("user.signup", user), 32, 32))
    day = company.growth.signup_day(user)
    return day * DAY_MS + company.calendar.around_outage(day, company.hours.at_share(place))


def end_day(company: Company, user: I64) -> I64:
    """The first day on which the user no longer comes."""
    return company.growth.signup_day(user) + company.rules.users.life_days.at(
        company.draw("user.life", user)
    )


def is_founder(company: Company, user: I64) -> Mask:
    founds: Mask = user % company.rules.customers.users_each == 0
    return founds


def founder_of(company: Company, customer: I64) -> I64:
    """The user who founded the account."""
    return customer * company.rules.customers.users_each


def is_solo(company: Company, customer: I64) -> Mask:
    """Solo accounts, which nobody joins, so that they can be deleted with their founder."""
    every = company.rules.customers.solo_every
    solo: Mask = customer % every == every - 1
    return solo


def customer_of(company: Company, user: I64) -> I64:
    """The account of each user.

    A founder has its own. Others join an account founded before, a newer one more often.
    """
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


# -- profile -----------------------------------------------------------------------------------

COUNTRY, ROLE, PHONE, OPT_IN = range(4)


@dataclass(frozen=True, eq=False)
class Profile:
    country: I64  # code in company.countries
    role: I64  # position in rules.users.roles
    phone: U64
    opt_in: Mask


def user_changes(company: Company, user: I64, born: I64, window: I64) -> Changes:
    """The change of each user in a window of its life. None is after its end."""
    rules = company.rules.users
    kinds = Choice.of([rules.changes[kind] for kind in ("country", "role", "phone", "opt_in")])
    found = changes_in_windows(
        company,
        "user.change",
        user,
        born,
        window,
        rules.change_window_days,
        rules.change_share,
        kinds,
    )
    return found.where(found.day < end_day(company, user[found.at]))


def _changes_so_far(company: Company, who: ActorDays) -> Changes:
    """The changes of each user until the end of its day, in the order of time."""
    born = company.growth.signup_day(who.actor)
    at, window = windows_begun(who.day, born, company.rules.users.change_window_days)
    found = user_changes(company, who.actor[at], born[at], window)
    found = replace(found, at=at[found.at])
    return found.where(found.day <= who.day[found.at])


def profile(company: Company, who: ActorDays) -> Profile:
    """The state of each user at the end of its day."""
    rules = company.rules.users
    user = who.actor
    roles = Choice.of(list(rules.roles.values()))
    country = home_country(company, user)
    role = roles.at(company.draw("user.role", user))
    phone = company.draw("user.phone", user)
    opt_in = happens(company.draw("user.opt_in", user), rules.opt_in_share)
    changes = _changes_so_far(company, who)
    _move(company, country, changes)
    roles_taken, phones = changes.where(changes.kind == ROLE), changes.where(changes.kind == PHONE)
    role[roles_taken.at] = roles.at(roles_taken.bits)
    phone[phones.at] = phones.bits
    np.logical_xor.at(opt_in, changes.at[changes.kind == OPT_IN], True)
    return Profile(country, role, phone, opt_in)


def country_on(company: Company, who: ActorDays) -> I64:
    """Only the country of `profile`, which every session needs."""
    country = home_country(company, who.actor)
    _move(company, country, _changes_so_far(company, who))
    return country


def _move(company: Company, country: I64, changes: Changes) -> None:
    """Set `country` to that of each user's last move."""
    moves = changes.where(changes.kind == COUNTRY)
    country[moves.at] = company.country_choice.at(moves.bits)


def home_country(company: Company, user: I64) -> I64:
    """The country of the user at its signup: mostly that of its account."""
    bits = company.draw("user.abroad", user)
    at_home = first_country_of_customer(company, customer_of(company, user))
    return np.where(
        happens(bits, company.rules.users.abroad_share),
        company.country_choice.at(splitmix64(bits)),
        at_home,
    )


def first_country_of_customer(company: Company, customer: I64) -> I64:
    return company.country_choice.at(company.draw("customer.country", customer))
