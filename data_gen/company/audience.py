"""How many users were active in the 7 and 30 days that end with a day: truly, and as far as can be known by later days.

Each user is looked at from the day backwards, and not any further once a day is found on which it is known to have
come. So most are asked about a few days only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from data_gen.company.activity import is_active, level_of, segment_days_of, sessions_of, sessions_wanted
from data_gen.company.company import Company
from data_gen.company.day import users_on
from data_gen.company.delivery import late, together
from data_gen.company.dirt import fate_of
from data_gen.company.events import event_bits, timeline
from data_gen.company.figures import Figures
from data_gen.company.hashing import I64, U64, Mask, identity
from data_gen.company.lives import ActorDays, end_day
from data_gen.company.recovery import NEVER, arrives, known_since

WINDOWS = (7, 30)
_FEW = 1 << 10
_MANY = 4  # times as many users at once as for rows: they need little room


def add_audience(figures: Figures, company: Company, chunk_rows: int) -> None:
    """Adds the active users of a day to its figures."""
    for window in WINDOWS:
        figures.add_true(f"active_users_{window}", 0)
    for who in users_on(company, figures.day, _MANY * chunk_rows, before=max(WINDOWS)):
        _add(figures, company, who)


def _add(figures: Figures, company: Company, who: ActorDays) -> None:
    day = figures.day
    users, born, end = who.actor, company.growth.signup_day(who.actor), end_day(company, who.actor)
    since = np.full(len(users), NEVER, dtype=np.int64)
    seen = np.zeros(len(users), dtype=np.bool_)
    open_ = np.flatnonzero(born <= day)  # who is not known to be active yet
    length, level = segment_days_of(company, users), level_of(company, users)
    begins, active = np.full(len(users), NEVER), np.zeros(len(users), dtype=np.bool_)  # the segment that is looked at
    unsure: list[ActorDays] = []  # days of users of which more than the first event has to be looked at
    for back in range(max(WINDOWS)):
        earlier = day - back
        if earlier < company.founded:
            break
        open_ = open_[born[open_] <= earlier]
        asked = open_[earlier < end[open_]]
        new = asked[earlier < begins[asked]]  # going back, a segment is entered at its end
        segment = (earlier - born[new]) // length[new]
        begins[new], active[new] = born[new] + segment * length[new], is_active(company, users[new], segment)
        asked = asked[active[asked]]
        wanted = sessions_wanted(company, ActorDays.on(earlier, users[asked]), born[asked], level[asked])
        comes = asked[wanted > 0]
        if company.calendar.may_drop_visits(earlier):
            came = np.unique(sessions_of(company, ActorDays.on(earlier, users[comes])).user)
            comes = np.searchsorted(users, came)
        if len(comes):
            seen[comes] = True
            known, sure = _known_since(company, users[comes], earlier)
            since[comes] = np.minimum(since[comes], known)
            unsure.append(ActorDays.on(earlier, users[comes[~sure]]))
        if back + 1 in WINDOWS or company.calendar.may_drop_visits(earlier):
            _look_closer(company, users, since, unsure, day)
        open_ = open_[since[open_] > day]
        if back + 1 in WINDOWS:
            _count(figures, back + 1, since, int(seen.sum()))
    _look_closer(company, users, since, unsure, day)
    for window in WINDOWS:
        if day - company.founded < window - 1:  # the window begins before the founding
            _count(figures, window, since, int(seen.sum()))


def _count(figures: Figures, window: int, since: I64, seen: int) -> None:
    metric = f"active_users_{window}"
    figures.add_true(metric, 100 * seen)
    figures.add_known(metric, np.where(since < NEVER, np.maximum(since, figures.day), NEVER), 100)


def _known_since(company: Company, users: I64, day: int) -> tuple[I64, Mask]:
    """From which landing day on it is known that each of these users came on a day, and of whom that is certain: it may
    be earlier for the others, by another event than the first."""
    delay = late(company, "events").delay(ActorDays.on(day, users))
    since = day + delay
    for landed in np.unique(since[delay > 0]).tolist():
        since[(delay > 0) & (since == landed)] = arrives(company, "events", landed)
    on_time = np.flatnonzero(delay == 0)
    sure = delay > 0
    if company.calendar.may_drop_visits(day):
        since[on_time] = NEVER  # which of their sessions took place is not known yet
    else:
        # One event that is fine is enough: mostly the first of the first session is.
        first = event_bits(company, identity(np.full(len(on_time), day), users[on_time], on_time * 0))
        since[on_time] = _of_rows(company, day, first)
        sure[on_time] = since[on_time] == day
    return since, sure


def _look_closer(company: Company, users: I64, since: I64, unsure: list[ActorDays], until: int) -> None:
    """Looks at all events of the days that are in question, of users who are not known to be active by a day."""
    if not unsure:
        return
    who = together(unsure)
    sessions = sessions_of(company, who.where(since[np.searchsorted(users, who.actor)] > until))
    line = timeline(company, sessions)
    day = sessions.day[line.session]
    for one in np.unique(day).tolist():
        events = day == one
        user = np.searchsorted(users, sessions.user[line.session[events]])
        np.minimum.at(since, user, _of_rows(company, one, line.bits[events]))
    unsure.clear()


def _of_rows(company: Company, day: int, bits: U64) -> I64:
    """From when events of a day are known that are on time."""
    held = _held_back(company, day)
    since = known_since(company, "events", day, bits)
    if held is not None:
        again = fate_of(company, "events", day).redelivered_on
        since[bits == held] = NEVER if again is None else again
    return since


@lru_cache(maxsize=64)
def _held_back(company: Company, day: int) -> np.uint64 | None:
    """The event in which the last line of the day's file breaks off: its first one on time."""
    if fate_of(company, "events", day).kind != "truncated_last_line":
        return None
    for who in users_on(company, day, _FEW):
        sessions = sessions_of(company, who)
        on_time = late(company, "events").delay(ActorDays(sessions.user, sessions.day)) == 0
        if on_time.any():
            first: np.uint64 = event_bits(company, sessions.counter[on_time][:1])[0]
            return first
    return None
