"""How many users have signed up by the end of each day: an S-curve in exact integers."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import numpy as np

from data_gen.company.hashing import I64, LAST_ACTOR
from data_gen.company.rule_sections import GrowthRules, RhythmRules
from saas_analytics.errors import UsageError

EPOCH = date(1970, 1, 1)
_MICRO = 10**6
_MONDAY_1970 = 3  # 1970-01-01 was a Thursday


def day_number(day: date) -> int:
    return (day - EPOCH).days


class TooManyUsers(UsageError):
    """The scale asks for more users than an id has room for."""


class Growth:
    """The numbers of the users who sign up on each day: 0, 1, 2, ... in the order of signup."""

    def __init__(
        self, growth: GrowthRules, rhythm: RhythmRules, founded: date, scale: Fraction
    ) -> None:
        self._growth, self._rhythm, self._scale = growth, rhythm, scale
        self.founded = day_number(founded)
        self._exact = [0]  # before scaling, in millionths of a user
        self._totals = np.zeros(1, dtype=np.int64)

    def totals(self, day: int) -> I64:
        """Entry t is the number of users who signed up in the first t days.

        There are entries at least until the end of `day`. Raises TooManyUsers.
        """
        length = max(day - self.founded + 2, 1)
        if length > len(self._totals):
            # A month ahead, as `--days` needs the next day soon.
            for t in range(len(self._exact) - 1, length + 30):
                self._exact.append(self._exact[-1] + self._rate(t))
            totals = [
                exact * self._scale.numerator // (self._scale.denominator * _MICRO)
                for exact in self._exact
            ]
            if totals[length - 1] > LAST_ACTOR:
                raise TooManyUsers(
                    f"a scale of {float(self._scale):g} gives {totals[length - 1]} users, "
                    f"more than {LAST_ACTOR}"
                )
            self._totals = np.array([min(total, LAST_ACTOR) for total in totals], dtype=np.int64)
        return self._totals

    def _rate(self, t: int) -> int:
        rules = self._growth
        climb = (
            (rules.signups_at_plateau - rules.signups_at_start)
            * _MICRO
            * t**3
            // (t**3 + rules.midpoint_days**3)
        )
        usual = (
            (rules.signups_at_start * _MICRO + climb)
            * self._rhythm.weekdays[(self.founded + t + _MONDAY_1970) % 7]
            // 100
        )
        if t in self._rhythm.launch_days:
            usual = usual * self._rhythm.launch_percent // 100
        left = max(rules.launch_days - t, 0)
        return usual + rules.launch_users * _MICRO * 2 * left // (
            rules.launch_days * (rules.launch_days + 1)
        )

    def users_by(self, day: int) -> int:
        """The number of users who signed up until the end of `day`."""
        return int(self.totals(day)[day - self.founded + 1]) if day >= self.founded else 0

    def users_by_each(self, days: I64) -> I64:
        """`users_by` for each of several days."""
        if not len(days):
            return np.zeros(0, dtype=np.int64)
        return self.totals(int(days.max()))[np.maximum(days - self.founded + 1, 0)]

    def signup_day(self, user: I64) -> I64:
        """The day on which each user signed up. `users_by` was called for it before."""
        return np.searchsorted(self._totals, user, side="right") - 1 + self.founded

    def place_in_day(self, user: I64, bits: I64) -> I64:
        """The part of the day, in units of 2**-32, after which each user signs up.

        It rises with the user's number.
        """
        t = self.signup_day(user) - self.founded
        first = self._totals[t]
        return (((user - first) << 32) | bits) // (self._totals[t + 1] - first)
