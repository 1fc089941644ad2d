"""Who comes on a day and in which sessions: the users' active segments, their levels and the day's rhythm."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from data_gen.company.company import Company
from data_gen.company.growth import weekday
from data_gen.company.hashing import I64, U64, Mask, field, happens, identity, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays, country_on, signup_ms

# A number within an actor's day holds the session and the position in it.
POSITION_BITS = 12
MOST_SESSIONS = 500
_PER_LEVEL = 1000 * 100  # levels are per 1000 days, rhythms in percent


@dataclass(frozen=True, eq=False)
class Sessions:
    """One entry per session, ordered as the actor days were, then by number."""

    user: I64
    day: I64
    number: I64  # within the user's day
    counter: U64  # identity of the session; its events add their position
    bits: U64  # random; its upper half is used for the depth
    start: I64  # milliseconds of the day
    events: I64  # how many
    depth: I64  # how many of the funnel's steps were taken
    signs_up: Mask  # the session starts with the signup
    country: I64

    def __len__(self) -> int:
        return len(self.user)

    def where(self, chosen: Mask | slice) -> Sessions:
        return Sessions(**{name: values[chosen] for name, values in vars(self).items()})


def first_active_user(company: Company, day: int) -> int:
    """Users before this number have reached the end of the longest possible life."""
    return company.growth.users_by(day - company.rules.users.life_days.largest)


def visits(company: Company, who: ActorDays) -> tuple[ActorDays, I64]:
    """Those who come on their day, and in how many sessions. Each step only looks at who is left."""
    rules = company.rules.users
    born = company.growth.signup_day(who.actor)
    lasting = who.day - born < rules.life_days.at(company.draw("user.life", who.actor))
    who, born = who.where(lasting), born[lasting]

    segment = (who.day - born) // rules.segment_days.at(company.draw("user.segment", who.actor))
    active = (segment == 0) | happens(company.draw("user.active", who.actor, segment), rules.active_share)
    who, born = who.where(active), born[active]

    level = rules.sessions_per_1000_days.at(company.draw("user.level", who.actor))
    bits = company.draw("user.visits", who.actor, who.day)
    # A good or a bad day: between half and one and a half times the usual.
    wanted = (level * company.weekdays[weekday(who.day)] * (128 + field(bits, 0, 8))) >> 8
    sessions = (wanted + ((field(bits, 32, 32) * _PER_LEVEL) >> 32)) // _PER_LEVEL
    sessions = np.minimum(np.maximum(sessions, who.day == born), MOST_SESSIONS)
    comes = sessions > 0
    return who.where(comes), sessions[comes]


def sessions_of(company: Company, who: ActorDays) -> Sessions:
    """All sessions of the given users on the given days."""
    who, count = visits(company, who)
    owner = np.repeat(np.arange(len(who)), count)
    user, day = who.actor[owner], who.day[owner]
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    counter = identity(day, user, number << POSITION_BITS)
    bits = company.draw("session", counter.view(np.int64))
    signup = signup_ms(company, who.actor)
    new = (signup // DAY_MS == who.day)[owner]
    signs_up = new & (number == 0)
    country = country_on(company, who)[owner]
    depth = funnel_depth(company, bits)
    lengths = company.rules.sessions.events.at(splitmix64(bits))
    return Sessions(
        user=user,
        day=day,
        number=number,
        counter=counter,
        bits=bits,
        start=_starts(company, bits, number, count[owner], country, new, (signup % DAY_MS)[owner]),
        events=1 + signs_up + lengths + depth,
        depth=depth,
        signs_up=signs_up,
        country=country,
    )


def funnel_depth(company: Company, bits: U64) -> I64:
    """How many steps of the funnel each session takes."""
    depth = np.zeros(len(bits), dtype=np.int64)
    reach = Decimal(1)
    for share in company.rules.funnel.values():
        reach *= share
        depth += happens(bits, reach)  # the same draw for all steps: who takes a step has taken those before
    return depth


def _starts(company: Company, bits: U64, number: I64, count: I64, country: I64, new: Mask, signup: I64) -> I64:
    """Starts in the day's rhythm of the country; sessions of one day lie behind each other. On the day of the signup
    the first one starts with it, the others come after it."""
    place = ((number << 32) | field(bits, 0, 32)) // count
    usual = (company.hours.at_share(place) - company.utc_offset_ms[country]) % DAY_MS
    after_signup = signup + (((DAY_MS - signup) * place) >> 32)
    return np.where(new, np.where(number == 0, signup, after_signup), usual)
