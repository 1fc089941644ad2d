"""Days that are known to be unlike others: holidays and launches, with what they do to a day's figures.

Of the synthetic company they follow from data_gen/rules.yaml. A team names its own in a CSV file, by the setting
SPECIAL_DAYS, with the columns day, name and share: 0.4 is a day on which 40 percent of the usual are expected.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from saas_analytics.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """`share` of what is usual is expected, at the most extreme; 1.5 is half as much again."""

    day: date
    name: str
    share: float


def special_days(settings: Settings, first: date, last: date) -> list[SpecialDay]:
    """The special days from `first` to `last`, both included; those of the company and of the team's file."""
    days = _of_file(settings) if settings.special_days != "off" else []
    if settings.synthetic_company:
        days += company_days(settings.company_founded, first, last)
    return [special for special in days if first <= special.day <= last]


def company_days(founded: date | None, first: date, last: date) -> list[SpecialDay]:
    """What the synthetic company knows beforehand: the holidays of its countries, and its launches. No outages."""
    from data_gen.company.rules import load_rules  # reads a large file, which a team with its own data does without

    rules = load_rules()
    weights = sum(country.weight for country in rules.countries.values())
    kept = float(rules.rhythm.holiday_share)
    launches = {(founded or rules.company.founded) + timedelta(days=after) for after in rules.rhythm.launch_days}
    days = []
    for day in _days(first, last):
        names = [code for code, country in rules.countries.items() if f"{day:%m-%d}" in country.holidays]
        if names:
            away = sum(rules.countries[code].weight for code in names) / weights * (1 - kept)
            days.append(SpecialDay(day, f"holiday in {', '.join(names)}", 1 - away))
        if day in launches:
            days.append(SpecialDay(day, "launch", rules.rhythm.launch_percent / 100))
    return days


def _of_file(settings: Settings) -> list[SpecialDay]:
    path = settings.root / settings.special_days
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                SpecialDay(date.fromisoformat(r["day"]), r["name"], _share(r["share"])) for r in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise SettingsError(
            f"SPECIAL_DAYS names {path}, which is no CSV file with the columns day (2026-12-24), name and share "
            f"(above 0; 0.4 is 40 percent of a usual day): {error!r}. Correct it."
        ) from None


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1000:
        raise ValueError(f"share {text}")
    return share


def _days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=after) for after in range((last - first).days + 1))
