"""The users active in the 7 and 30 days that end with a day: the true number and the known one.

The search goes backwards from the day and stops for a user at the first day on which it came, so
most users are looked at for a few days only. One event without a defect makes a user known. This is
mostly the first event of its day; for the few other users the search looks at all events.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from data_gen.company.activity import (
    is_active,
    level_of,
    segment_days_of,
    sessions_of,
    sessions_wanted,
)
from data_gen.company.calendar import days_among
from data_gen.company.company import Company
from data_gen.company.day import AUDIENCE_DAYS, users_on
from data_gen.company.defect_plan import fate_of
from data_gen.company.delivery import late
from data_gen.company.events import event_bits, timeline
from data_gen.company.hashing import I64, U64, identity
from data_gen.company.lives import ActorDays, end_day
from data_gen.company.recovery import NEVER, arrives, each_known_since
from data_gen.company.recurring import MovementFigures

WINDOWS = (7, AUDIENCE_DAYS)
_FEW = 1 << 12


class AudienceFigures(MovementFigures):
    """Figures of a day with its movements of recurring revenue and its active users."""

    def __init__(self, company: Company, day: int) -> None:
        super().__init__(company, day)
        for window in WINDOWS if day >= company.founded else ():
            self.add_true(f"active_users_{window}", 0)

    def users(self, who: ActorDays) -> None:
        day, search = self.day, _Search(self.company, who.actor)
        since = np.full(len(who), NEVER, dtype=np.int64)
        seen = np.zeros(len(who), dtype=np.bool_)
        for after, window in pairwise((0, *WINDOWS)):
            days = range(day - after, max(day - window, self.company.founded - 1), -1)
            came = search.last_came(np.flatnonzero(since > day), days)
            seen[came] = True
            since[came] = np.minimum(since[came], search.first_known_since(came))
            unknown = came[since[came] > day]
            for start in range(0, len(unknown), _FEW):
                search.look_closer(unknown[start : start + _FEW], days, since)
            self.add_true(f"active_users_{window}", 100 * int(seen.sum()))
            known = np.where(since < NEVER, np.maximum(since, day), NEVER)
            self.add_known(f"active_users_{window}", known, 100)


class _Search:
    """Searches backwards for the days on which some users came. Users are given by position."""

    def __init__(self, company: Company, users: I64) -> None:
        self._company, self._users = company, users
        self._born = company.growth.signup_day(users)
        self._length, self._level = segment_days_of(company, users), level_of(company, users)
        # The current segment. Going back, a segment is entered at its end, the last one at the end
        # of the life.
        self._begins, self._active = end_day(company, users), np.zeros(len(users), dtype=np.bool_)
        self._day = np.zeros(len(users), dtype=np.int64)  # the last day on which each came
        self._first = np.zeros(
            len(users), dtype=np.uint64
        )  # identity of its first event on that day

    def last_came(self, users: I64, days: range) -> I64:
        """The users who came on any of the days, which continue the search backwards."""
        found = [users[:0]]
        for day in days:
            self._enter(users[day < self._begins[users]], day)
            asked = users[self._active[users]]
            who = ActorDays.on(day, self._users[asked])
            wanted = sessions_wanted(self._company, who, self._born[asked], self._level[asked])
            comes = asked[wanted > 0]
            first = identity(who.day[: len(comes)], self._users[comes], comes * 0)
            if self._company.calendar.may_drop_visits(day):
                sessions = sessions_of(self._company, ActorDays.on(day, self._users[comes]))
                came, at = np.unique(sessions.user, return_index=True)
                comes, first = np.searchsorted(self._users, came), sessions.counter[at]
            self._day[comes], self._first[comes] = day, first
            found.append(comes)
            users = users[self._day[users] != day]
        return np.concatenate(found)

    def _enter(self, users: I64, day: int) -> None:
        """Moves these users to the segments in which the day lies."""
        born, length = self._born[users], self._length[users]
        segment = (day - born) // length
        lives = segment >= 0
        self._begins[users] = np.where(lives, born + segment * length, 0)
        self._active[users] = lives & is_active(self._company, self._users[users], segment)

    def first_known_since(self, users: I64) -> I64:
        """The landing day from which the first events of the users' last days are known."""
        who = ActorDays(self._users[users], self._day[users])
        return _known_since(self._company, who, event_bits(self._company, self._first[users]))

    def look_closer(self, users: I64, days: range, since: I64) -> None:
        """Set `since` to the landing day from which any event of the users on the days is known."""
        day = np.repeat(np.array(days), len(users))
        at = np.tile(users, len(days))
        possible = (self._born[at] <= day) & (day <= self._day[at])
        sessions = sessions_of(self._company, ActorDays(self._users[at[possible]], day[possible]))
        line = timeline(self._company, sessions)
        who = ActorDays(sessions.user[line.session], sessions.day[line.session])
        np.minimum.at(
            since,
            np.searchsorted(self._users, who.actor),
            _known_since(self._company, who, line.bits),
        )


def _known_since(company: Company, who: ActorDays, bits: U64) -> I64:
    """From which landing day on events are known, one for each actor day."""
    delay = late(company, "events").delay(who)
    on_time = each_known_since(company, "events", who.day, bits)
    for day in days_among(who.day)[0].tolist():
        held = _held_back(company, day)
        if held is not None:
            again = fate_of(company, "events", day).redelivered_on
            on_time[bits == held] = NEVER if again is None else again
    return np.where(delay == 0, on_time, arrives(company, "events", who.day + delay))


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
