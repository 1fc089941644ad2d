"""A company: its rules, seed and scale, with the tables made from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from data_gen.company.calendar import Calendar
from data_gen.company.growth import Growth
from data_gen.company.hashing import I64, U64, draw
from data_gen.company.quantiles import Choice, Curve
from data_gen.company.rules import Rules

SEEDS = Path(__file__).resolve().parents[1] / "seeds"
_MAX_SCALE = 10_000


def exact_scale(text: str | float | Decimal) -> Fraction:
    """A scale as written: "0.1" is one tenth. Raises ValueError outside of 0 < scale <= 10000."""
    try:
        scale = Fraction(Decimal(str(text)))
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError(f"the scale must be a number, not {text!r}") from None
    if not 0 < scale <= _MAX_SCALE:
        raise ValueError(f"the scale must lie above 0 and at most at {_MAX_SCALE}, not {text}")
    return scale


@dataclass(frozen=True, eq=False)
class Company:
    rules: Rules
    seed: int
    scale: Fraction
    growth: Growth = field(init=False)

    def __post_init__(self) -> None:
        rules = self.rules
        object.__setattr__(
            self, "growth", Growth(rules.growth, rules.rhythm, rules.company.founded, self.scale)
        )

    def draw(self, stream: str, first: I64, *more: I64 | int) -> U64:
        """64 random bits for each counter in a stream."""
        return draw(self.seed, stream, first, *more)

    @cached_property
    def made_from(self) -> dict[str, str | int]:
        """The input of a day's bytes, except for the day and the lists in data_gen/seeds."""
        return {"rules_hash": self.rules.digest(), "seed": self.seed, "scale": str(self.scale)}

    @property
    def founded(self) -> int:
        return self.growth.founded

    @cached_property
    def hours(self) -> Curve:
        return Curve.of_hours(self.rules.rhythm.hours)

    @cached_property
    def calendar(self) -> Calendar:
        return Calendar(self.rules.rhythm, self.rules.countries, self.founded)

    @cached_property
    def countries(self) -> tuple[str, ...]:
        return tuple(self.rules.countries)

    @cached_property
    def country_choice(self) -> Choice:
        return Choice.of([country.weight for country in self.rules.countries.values()])

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """The currency of each country, by the country's code."""
        return tuple(country.currency for country in self.rules.countries.values())

    @cached_property
    def first_names(self) -> tuple[str, ...]:
        return words_of("first_names")

    @cached_property
    def last_names(self) -> tuple[str, ...]:
        return words_of("last_names")

    @cached_property
    def company_words(self) -> tuple[str, ...]:
        return words_of("company_words")


def words_of(name: str) -> tuple[str, ...]:
    """A word list of data_gen/seeds."""
    return tuple((SEEDS / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1])
