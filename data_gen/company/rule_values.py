"""The kinds of values in rules.yaml: how pydantic reads each, and its JSON Schema for editors."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from data_gen.company.quantiles import Curve

RATE_DIGITS = 6
_MOST_MONEY = 100_000_000
_UNSAFE_TEXT = '"\\\n\r'

Json = dict[str, Any]


class Wrong(ValueError):
    """A wrong value. `at` are the keys from the checked value to the wrong one."""

    def __init__(self, problem: str, *at: str | int) -> None:
        super().__init__(problem)
        self.at = at


class ValueKind(ABC):
    """A kind of value, used as `Annotated[type, kind]`."""

    @abstractmethod
    def read(self, value: Any) -> Any:
        """The value as the generator uses it. Raises Wrong."""

    @abstractmethod
    def schema(self) -> Json:
        """The JSON Schema of the value as it is written in the file."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Json:
        return self.schema()


# -- numbers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Whole(ValueKind):
    """A whole number between two bounds, both included."""

    low: int
    high: int

    def read(self, value: Any) -> int:
        number = _whole(value)
        if not self.low <= number <= self.high:
            raise Wrong(f"must lie between {self.low} and {self.high}, not {shown(value)}")
        return number

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class _ShareKind(ValueKind):
    def read(self, value: Any) -> Decimal:
        if not _is_number(value) or not 0 <= value <= 1:
            raise Wrong(f"must be a share between 0 and 1, not {shown(value)}")
        return Decimal(value)

    def schema(self) -> Json:
        return {"type": "number", "minimum": 0, "maximum": 1, "description": "A share."}


class _CentsKind(ValueKind):
    def read(self, value: Any) -> int:
        return _cents(value)

    def schema(self) -> Json:
        about = "An amount of money with at most two digits after the decimal point."
        return {"type": "number", "minimum": 0, "maximum": _MOST_MONEY, "description": about}


class _RateKind(ValueKind):
    def read(self, value: Any) -> int:
        if not _is_number(value) or not 0 < value < 10_000:
            raise Wrong(f"must be a rate above 0 and below 10000, not {shown(value)}")
        if (value * 10**RATE_DIGITS) % 1 != 0:
            raise Wrong(f"can have at most {RATE_DIGITS} digits after the decimal point")
        return int(value * 10**RATE_DIGITS)

    def schema(self) -> Json:
        about = f"A rate with at most {RATE_DIGITS} digits after the decimal point."
        return {
            "type": "number",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 10_000,
            "description": about,
        }


# -- curves ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Points(ValueKind):
    """A curve of [percent, value] points. Its values lie between two bounds, both included.

    The upper bound is below 2**34, which keeps the interpolation within 64 bits.
    """

    low: int
    high: int

    def value(self, value: Any) -> int:
        return _whole(value)

    def value_schema(self) -> Json:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def read(self, value: Any) -> Curve:
        if (
            not isinstance(value, list)
            or len(value) < 2
            or any(not isinstance(point, list) or len(point) != 2 for point in value)
        ):
            raise Wrong(f"must be a curve: a list of [percent, value] points, not {shown(value)}")
        points = [self._point(number, *point) for number, point in enumerate(value)]
        percents, values = zip(*points, strict=True)
        if percents[0] != 0 or percents[-1] != 100 or any(b <= a for a, b in pairwise(percents)):
            raise Wrong("the percents must rise from 0 to 100")
        if any(percent * 10**6 % 1 for percent in percents):
            raise Wrong("the percents can have at most six digits after the decimal point")
        if any(b < a for a, b in pairwise(values)):
            raise Wrong("the values must not fall")
        if values[0] < self.low or values[-1] > self.high:
            curve = f"a curve from {values[0]} to {values[-1]}"
            raise Wrong(f"must lie between {self.low} and {self.high}, not {curve}")
        return Curve.through(points)

    def _point(self, number: int, percent: Any, value: Any) -> tuple[Decimal, int]:
        if not _is_number(percent):
            raise Wrong(f"the percent must be a number, not {shown(percent)}", number)
        try:
            return Decimal(percent), self.value(value)
        except Wrong as wrong:
            raise Wrong(str(wrong), number) from wrong

    def schema(self) -> Json:
        percent = {"type": "number", "minimum": 0, "maximum": 100}
        point = {
            "type": "array",
            "prefixItems": [percent, self.value_schema()],
            "minItems": 2,
            "maxItems": 2,
        }
        about = "A curve: [percent, value] points from 0 to 100 percent, values never falling."
        return {"type": "array", "items": point, "minItems": 2, "description": about}


class MoneyPoints(Points):
    """A curve of money. Its bounds are in cents."""

    def value(self, value: Any) -> int:
        return _cents(value)

    def value_schema(self) -> Json:
        return {"type": "number", "minimum": self.low / 100, "maximum": self.high / 100}


# -- texts and days ----------------------------------------------------------------------------


class _TextKind(ValueKind):
    def read(self, value: Any) -> str:
        if (
            not isinstance(value, str)
            or not value
            or any(c in value for c in _UNSAFE_TEXT)
            or not value.isprintable()
        ):
            raise Wrong(
                f"must be a text without quotes, backslashes or line breaks, not {shown(value)}"
            )
        return value

    def schema(self) -> Json:
        return {"type": "string", "pattern": r'^[^"\\\n\r]+$'}


class _TextOrWholeKind(_TextKind):
    def read(self, value: Any) -> Any:
        return _whole(value) if isinstance(value, int) else super().read(value)

    def schema(self) -> Json:
        return {"anyOf": [super().schema(), {"type": "integer"}]}


class _DayKind(ValueKind):
    def read(self, value: Any) -> date:
        if isinstance(value, str):
            with suppress(ValueError):
                value = date.fromisoformat(value)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise Wrong(f"must be a day as YYYY-MM-DD, not {shown(value)}")
        return value

    def schema(self) -> Json:
        return {"type": "string", "format": "date"}


class _DayOfYearKind(ValueKind):
    def read(self, value: Any) -> str:
        if isinstance(value, str) and re.fullmatch(r"\d\d-\d\d", value):
            with suppress(ValueError):
                date.fromisoformat(f"2024-{value}")  # a leap year
                return value
        raise Wrong(f"must be a day as MM-DD, not {shown(value)}")

    def schema(self) -> Json:
        return {"type": "string", "pattern": r"^\d\d-\d\d$"}


Share = Annotated[Decimal, _ShareKind()]
Cents = Annotated[int, _CentsKind()]  # written as money, read as whole cents
Rate = Annotated[int, _RateKind()]  # written as a decimal, read as millionths
Text = Annotated[str, _TextKind()]
TextOrWhole = Annotated[str | int, _TextOrWholeKind()]
Day = Annotated[date, _DayKind()]
DayOfYear = Annotated[str, _DayOfYearKind()]


# -- mappings ----------------------------------------------------------------------------------


def some_weight(entries: Any) -> Any:
    """The entries, weights or things with a weight. Raises Wrong if none is above 0."""
    values = entries.values() if isinstance(entries, Mapping) else entries
    if not any(entry if isinstance(entry, int) else entry.weight for entry in values):
        raise Wrong("needs at least one weight above 0")
    return entries


@dataclass(frozen=True)
class Names:
    """The names that a mapping must have, and no others."""

    names: tuple[str, ...]

    def check(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in value:
            if name not in self.names:
                known = ", ".join(self.names)
                raise Wrong(f"is not a known key; known keys: {known}", name)
        for name in self.names:
            if name not in value:
                raise Wrong("is missing", name)
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Json:
        return handler(schema) | {
            "required": list(self.names),
            "propertyNames": {"enum": list(self.names)},
        }


T = TypeVar("T")
Named = Annotated[dict[str, T], Field(min_length=1)]
Weight = Annotated[int, Whole(0, 1_000_000)]
Weights = Annotated[dict[str, Weight], Field(min_length=1), AfterValidator(some_weight)]


def shown(value: Any) -> str:
    """A value as a message shows it."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Wrong(f"must be a whole number, not {shown(value)}")


def _cents(value: Any) -> int:
    if not _is_number(value) or not 0 <= value <= _MOST_MONEY or (value * 100) % 1 != 0:
        raise Wrong(
            f"must be an amount of money up to {_MOST_MONEY} with at most two digits "
            f"after the decimal point, not {shown(value)}"
        )
    return int(value * 100)
