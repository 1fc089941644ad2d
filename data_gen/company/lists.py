"""The lists in data_gen/seeds that rules draw on: countries, and exchange rates at the founding."""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path

SEEDS = Path(__file__).resolve().parents[1] / "seeds"
COUNTRIES = SEEDS / "iso_countries.csv"  # of ISO 3166-1: code, name, region
RATES = SEEDS / "fx_rates.csv"  # currency, usd_rate: US dollars for one unit


def country_codes(path: Path = COUNTRIES) -> frozenset[str]:
    """The codes of all countries."""
    return frozenset(row["code"] for row in _rows(path))


def founding_rates(path: Path = RATES) -> dict[str, Decimal | str]:
    """US dollars for one unit of each currency, by its code, in the order of the file.

    A value that is not a number stays a text, which the rules report as an error.
    """
    rates: dict[str, Decimal | str] = {}
    for row in _rows(path):
        try:
            rates[row["currency"]] = Decimal(row["usd_rate"])
        except InvalidOperation:
            rates[row["currency"]] = row["usd_rate"]
    return rates


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
