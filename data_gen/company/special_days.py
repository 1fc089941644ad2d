"""The days on which the synthetic company expects unusual figures, for anomaly detection."""

from __future__ import annotations

from datetime import date, timedelta

from data_gen.company.rules import load_rules
from saas_analytics.quality.special_days import SpecialDay


def company_days(founded: date | None, first: date, last: date) -> list[SpecialDay]:
    """The holidays of the company's countries and its launches from `first` to `last`; no outages.

    `founded`: its first day; None is that of the rules.
    """
    rules = load_rules()
    weights = sum(country.weight for country in rules.countries.values())
    kept = float(rules.rhythm.holiday_share)
    launches = {
        (founded or rules.company.founded) + timedelta(days=after)
        for after in rules.rhythm.launch_days
    }
    days = []
    for after in range((last - first).days + 1):
        day = first + timedelta(days=after)
        names = [
            code for code, country in rules.countries.items() if f"{day:%m-%d}" in country.holidays
        ]
        if names:
            away = sum(rules.countries[code].weight for code in names) / weights * (1 - kept)
            days.append(SpecialDay(day, f"holiday in {', '.join(names)}", 1 - away))
        if day in launches:
            days.append(SpecialDay(day, "launch", rules.rhythm.launch_percent / 100))
    return days
