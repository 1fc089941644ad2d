"""Days with unusual figures that are known beforehand, such as holidays and launches.

A team names its own in a CSV file, by the setting SPECIAL_DAYS, with the columns day, name and
share: 0.4 is a day on which 40 percent of the usual are expected.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date

from saas_analytics.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """`share` of what is usual is expected, at the most extreme; 1.5 is half as much again."""

    day: date
    name: str
    share: float


def special_days(settings: Settings, first: date, last: date) -> list[SpecialDay]:
    """The special days of the team's file from `first` to `last`, both included."""
    days = _of_file(settings) if settings.special_days != "off" else []
    return [special for special in days if first <= special.day <= last]


def _of_file(settings: Settings) -> list[SpecialDay]:
    path = settings.root / settings.special_days
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                SpecialDay(date.fromisoformat(r["day"]), r["name"], _share(r["share"]))
                for r in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise SettingsError(
            f"SPECIAL_DAYS names {path}, which is not a CSV file with the columns day (2026-12-24), name and share "
            f"(above 0; 0.4 is 40 percent of a usual day): {error!r}. Correct it."
        ) from None


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1000:
        raise ValueError(f"share {text}")
    return share
