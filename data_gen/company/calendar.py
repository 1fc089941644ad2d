"""Differences between days that affect everybody: weekdays, holidays, launches and outages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from data_gen.company.hashing import I64, LAST_DAY, Mask
from data_gen.company.rule_sections import CountryRules, RhythmRules

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_MONDAY_1970 = 3  # 1970-01-01 was a Thursday


def weekday(day: I64) -> I64:
    """0 for Monday to 6 for Sunday."""
    return (day + _MONDAY_1970) % 7


def days_among(day: I64) -> tuple[I64, I64]:
    """The distinct days, in order, and for each day its place among them.

    The days lie close together, so nothing is sorted.
    """
    if not len(day):
        return day, day
    first = int(day.min())
    there = np.bincount(day - first) > 0
    return first + np.flatnonzero(there), (np.cumsum(there) - 1)[day - first]


class Calendar:
    """Tables by day since 1970."""

    def __init__(
        self, rhythm: RhythmRules, countries: Mapping[str, CountryRules], founded: int
    ) -> None:
        self._countries = tuple(countries.values())
        self.utc_offset_ms: I64 = np.array(
            [c.utc_offset * _HOUR_MS for c in self._countries], dtype=np.int64
        )
        self._percent = np.array(rhythm.weekdays, dtype=np.int64)[weekday(np.arange(LAST_DAY + 1))]
        launches = [founded + after for after in rhythm.launch_days if founded + after <= LAST_DAY]
        self._percent[launches] = self._percent[launches] * rhythm.launch_percent // 100
        self._outages = np.zeros(LAST_DAY + 1, dtype=np.bool_)
        self._outages[
            [founded + after for after in rhythm.outage_days if founded + after <= LAST_DAY]
        ] = True
        self._closes, self._opens = (hour * _HOUR_MS for hour in rhythm.outage_hours)

    def percent(self, day: I64) -> I64:
        """Activity in percent of a usual day."""
        return self._percent[day]

    def is_holiday(self, day: I64, country: I64) -> Mask:
        """Whether the country has a holiday on the day."""
        if not len(day):
            return np.zeros(0, dtype=np.bool_)
        if not self._any_holiday[day[0]] and (day == day[0]).all():
            return np.zeros(len(day), dtype=np.bool_)
        return self._holidays[country, day]

    def may_drop_visits(self, day: int) -> bool:
        """Whether the day has a holiday somewhere or an outage, which prevent some visits."""
        return bool(self._any_holiday[day] or self._outages[day])

    def open_until(self, day: I64, start: I64) -> I64:
        """Milliseconds of the day at which a session must end; 0 if it starts in an outage."""
        until: I64 = np.full(len(day), DAY_MS, dtype=np.int64)
        down = self._outages[day]
        if down.any():
            until[down & (start < self._closes)] = self._closes
            until[down & (start >= self._closes) & (start < self._opens)] = 0
        return until

    def around_outage(self, day: I64, at: I64) -> I64:
        """Milliseconds of the day, moved so that none lies in an outage. Their order stays."""
        moved = self._outages[day] & (at >= self._closes)
        if not moved.any():
            return at
        later = self._opens + (at - self._closes) * (DAY_MS - self._opens) // (
            DAY_MS - self._closes
        )
        return np.where(moved, later, at)

    @cached_property
    def _holidays(self) -> Mask:
        """For each country, all days."""
        days = np.arange(LAST_DAY + 1).astype("M8[D]")
        month = days.astype("M8[M]")
        in_year = (month - days.astype("M8[Y]")).astype(np.int64) * 31 + (days - month).astype(
            np.int64
        )
        table = np.zeros((len(self._countries), LAST_DAY + 1), dtype=np.bool_)
        for country, rules in enumerate(self._countries):
            wanted = [(int(h[:2]) - 1) * 31 + int(h[3:]) - 1 for h in rules.holidays]
            table[country] = np.isin(in_year, wanted)
        return table

    @cached_property
    def _any_holiday(self) -> Mask:
        """Days on which some country has a holiday."""
        some: Mask = np.logical_or.reduce(self._holidays, axis=0)
        return some
