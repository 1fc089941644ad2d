"""Which users come on a day, and in which sessions.

Both depend on the active segments and the levels of the users, and on the rhythm of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np

from data_gen.company.calendar import days_among
from data_gen.company.company import Company
from data_gen.company.hashing import I64, U64, Mask, below, field, happens, identity, splitmix64
from data_gen.company.lives import DAY_MS, ActorDays, country_on, signup_ms

# A number within an actor's day holds the session and the position in it.
POSITION_BITS = 12
MOST_SESSIONS = 500
_PER_LEVEL = 1000 * 100  # levels are per 1000 days, rhythms in percent
_HOLIDAY = np.uint64(
    0x5BD1E9955BD1E995
)  # separates the draw for holidays from other draws of the same bits


@dataclass(frozen=True, eq=False)
class Sessions:
    """One entry per session, in the order of the actor days, then by number."""

    user: I64
    day: I64
    number: I64  # within the user's day
    counter: U64  # identity of the session; its events add their position
    bits: U64  # random; its upper half is used for the depth
    start: I64  # milliseconds of the day
    room: I64  # milliseconds until the day, or the service, ends
    events: I64  # how many
    depth: I64  # how many of the funnel's steps were taken
    signs_up: Mask  # the session starts with the signup
    country: I64

    def __len__(self) -> int:
        return len(self.user)

    def where(self, chosen: Mask | I64 | slice) -> Sessions:
        return Sessions(**{name: values[chosen] for name, values in vars(self).items()})


def first_active_user(company: Company, day: int) -> int:
    """The first user who can still come. Those before it are past the longest possible life."""
    return company.growth.users_by(day - company.rules.users.life_days.largest)


def visits(company: Company, who: ActorDays) -> tuple[ActorDays, I64]:
    """The users who come on their day, and the number of their sessions.

    Each step only looks at the users who passed the previous one.
    """
    rules = company.rules.users
    born = company.growth.signup_day(who.actor)
    lasting = who.day - born < rules.life_days.at(company.draw("user.life", who.actor))
    who, born = who.where(lasting), born[lasting]

    segment = segment_on(company, who, born)
    active = is_active(company, who.actor, segment)
    who, born = who.where(active), born[active]
    sessions = sessions_wanted(company, who, born, level_of(company, who.actor))
    comes = sessions > 0
    return who.where(comes), sessions[comes]


def segment_on(company: Company, who: ActorDays, born: I64) -> I64:
    """The number of the segment of its life in which each user is."""
    return (who.day - born) // segment_days_of(company, who.actor)


def segment_days_of(company: Company, user: I64) -> I64:
    return company.rules.users.segment_days.at(company.draw("user.segment", user))


def is_active(company: Company, user: I64, segment: I64) -> Mask:
    """Whether a user comes at all in a segment."""
    active: Mask = (segment == 0) | happens(
        company.draw("user.active", user, segment), company.rules.users.active_share
    )
    return active


def level_of(company: Company, user: I64) -> I64:
    """How often a user comes: sessions in 1000 days."""
    return company.rules.users.sessions_per_1000_days.at(company.draw("user.level", user))


def sessions_wanted(company: Company, who: ActorDays, born: I64, level: I64) -> I64:
    """The number of sessions on each user's day. The users are in an active segment."""
    bits = company.draw("user.visits", who.actor, who.day)
    # A good or a bad day: between half and one and a half times the usual.
    wanted = (level * company.calendar.percent(who.day) * (128 + field(bits, 0, 8))) >> 8
    sessions: I64 = (wanted + ((field(bits, 32, 32) * _PER_LEVEL) >> 32)) // _PER_LEVEL
    new = np.flatnonzero(who.day == born)
    sessions[new] = np.maximum(sessions[new], 1)
    sessions = np.minimum(sessions, MOST_SESSIONS)
    # On some days, one of the new users comes far too often.
    for day in days_among(who.day[new])[0].tolist():
        robot = robot_on(company, day)
        if robot is not None:
            sessions[new[(who.actor[new] == robot) & (who.day[new] == day)]] = (
                company.rules.defects.skew_sessions
            )
    return sessions


@lru_cache(maxsize=256)
def robot_on(company: Company, day: int) -> int | None:
    """The user who signs up on this day and is a robot. None on most days."""
    bits = company.draw("skew", np.array([day]))
    first, last = company.growth.users_by(day - 1), company.growth.users_by(day)
    if last == first or not happens(bits, company.rules.defects.skew)[0]:
        return None
    return first + int(below(splitmix64(bits), last - first)[0])


def sessions_of(company: Company, who: ActorDays, only_buying: bool = False) -> Sessions:
    """The sessions of users on their days; `only_buying`: those that complete the funnel."""
    who, count = visits(company, who)
    owner = np.repeat(np.arange(len(who)), count)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    counter = identity(who.day[owner], who.actor[owner], number << POSITION_BITS)
    bits = company.draw("session", counter.view(np.int64))
    depth = funnel_depth(company, bits)
    if only_buying:
        chosen = np.flatnonzero(depth == len(company.rules.funnel))
        owner, number, depth = owner[chosen], number[chosen], depth[chosen]
        counter, bits = counter[chosen], bits[chosen]
    some, back = _owners(owner, len(who), only_buying)
    users = who.where(some)
    signup = signup_ms(company, users.actor)
    born_today = signup // DAY_MS == users.day
    country = country_on(company, users)[back]
    day, new = users.day[back], born_today[back]
    signs_up = new & (number == 0)
    start = _starts(company, bits, number, count[owner], country, new, (signup % DAY_MS)[back])
    open_until = company.calendar.open_until(day, start)
    made = Sessions(
        user=users.actor[back],
        day=day,
        number=number,
        counter=counter,
        bits=bits,
        start=start,
        room=open_until - 1 - start,
        events=1 + signs_up + company.rules.sessions.events.at(splitmix64(bits)) + depth,
        depth=depth,
        signs_up=signs_up,
        country=country,
    )
    stays = open_until > 0
    on_holiday = company.calendar.is_holiday(day, country)
    if on_holiday.any():
        stays &= ~on_holiday | happens(
            splitmix64(bits ^ _HOLIDAY), company.rules.rhythm.holiday_share
        )
    return made if stays.all() else made.where(stays | signs_up)


def _owners(owner: I64, count: int, sparse: bool) -> tuple[I64, I64]:
    """The positions of the users to look at, and for each session its place among them.

    If sessions are sparse, only the users who have one are looked at.
    """
    if not sparse:
        return np.arange(count), owner
    some, back = np.unique(owner, return_inverse=True)
    return some, back


def funnel_depth(company: Company, bits: U64) -> I64:
    """How many steps of the funnel each session takes."""
    depth = np.zeros(len(bits), dtype=np.int64)
    reach = Decimal(1)
    for share in company.rules.funnel.values():
        reach *= share
        depth += happens(
            bits, reach
        )  # the same draw for all steps: a session that takes a step has taken the ones before
    return depth


def _starts(
    company: Company, bits: U64, number: I64, count: I64, country: I64, new: Mask, signup: I64
) -> I64:
    """Milliseconds of the day at which sessions start, in the rhythm of their country.

    A user's sessions of one day follow one another. On the day of the signup the first session
    starts with the signup and the others come after it.
    """
    place = ((number << 32) | field(bits, 0, 32)) // count
    usual = (company.hours.at_share(place) - company.calendar.utc_offset_ms[country]) % DAY_MS
    after_signup = signup + (((DAY_MS - signup) * place) >> 32)
    return np.where(new, np.where(number == 0, signup, after_signup), usual)
