"""Days with unusual figures that are known in advance, such as holidays and launches.

The setting SPECIAL_DAYS names a CSV file of the team with the columns day, name and share. A share
of 0.4 expects 40 percent of a usual day.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date

from saas_analytics.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day on which a value may be as far from usual as `share` times the usual value."""

    day: date
    name: str
    share: float


def special_days(settings: Settings, first: date, last: date) -> list[SpecialDay]:
    """The special days of the team's file from `first` to `last`, both included.

    SettingsError if the file cannot be read.
    """
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
            f"SPECIAL_DAYS names {path}, which is not a CSV file with the columns day "
            "(2026-12-24), name and share (above 0; 0.4 is 40 percent of a usual day): "
            f"{error!r}. Correct the file or the setting."
        ) from None


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1000:
        raise ValueError(f"share {text}")
    return share
