"""Turns parsed YAML into typed rules; what does not fit ends in an error that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, NewType, get_args, get_origin, get_type_hints

import yaml

from data_gen.company.quantiles import Curve
from saas_analytics.errors import UsageError

Share = NewType("Share", Decimal)
Cents = NewType("Cents", int)
Rate = NewType("Rate", int)
CurveOfMoney = NewType("CurveOfMoney", Curve)

RATE_DIGITS = 6
_MOST_MONEY = 100_000_000
_MAX_VALUE = 1 << 34  # values of a curve: keeps interpolation within 64 bits


class RulesError(UsageError):
    """A key or a value of the rules is wrong. The message says which, and what is possible."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"rules: {path or 'the file'}: {problem}")
        self.path = path


class Range:
    """Bounds of a whole number, both included."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high


_FastLoader: type[yaml.SafeLoader] = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # in C, where it was built


class _ExactLoader(_FastLoader):  # type: ignore[misc, valid-type]
    """A safe loader that keeps decimals exact and refuses a key written twice."""


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    text = node.value.replace("_", "").lower()
    if any(c not in "0123456789.e+-" for c in text):
        raise yaml.constructor.ConstructorError(
            None, None, f"{node.value} is not a number", node.start_mark
        )
    return Decimal(text)


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is there twice", key_node.start_mark
            )
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse(text: str) -> Any:
    """YAML as plain values, decimals exact."""
    try:
        return yaml.load(text, Loader=_ExactLoader)  # a subclass of SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise RulesError("", f"is not readable YAML: {' '.join(str(error).split())}") from error


def read(kind: Any, value: Any, path: str = "") -> Any:
    """`value` as `kind`: a dataclass, dict[str, ...], tuple[..., ...] or one of the scalar kinds."""
    if get_origin(kind) is Annotated:
        inner, *limits = get_args(kind)
        return _limited(read(inner, value, path), limits, path)
    if kind in _SCALARS:
        return _SCALARS[kind](value, path)
    origin = get_origin(kind)
    if _optional(kind):
        return (
            None
            if value is None
            else read(next(k for k in get_args(kind) if k is not type(None)), value, path)
        )
    if origin is dict:
        if not isinstance(value, Mapping) or not value:
            raise RulesError(path, f"must be a mapping of names to values, not {_shown(value)}")
        for key in value:
            if not isinstance(key, str):
                raise RulesError(f"{path}.{key}", "the name must be a text; put it in quotes")
        return {key: read(get_args(kind)[1], item, f"{path}.{key}") for key, item in value.items()}
    if origin is tuple:
        if not isinstance(value, list):
            raise RulesError(path, f"must be a list, not {_shown(value)}")
        return tuple(read(get_args(kind)[0], item, f"{path}[{n}]") for n, item in enumerate(value))
    if is_dataclass(kind):
        return _object(kind, value, path)
    raise TypeError(f"no reader for {kind}")


def _object(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise RulesError(path, f"must be a mapping of keys to values, not {_shown(value)}")
    hints = get_type_hints(kind, include_extras=True)
    for key in value:
        if key not in hints:
            close = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(hints)}"
            raise RulesError(_join(path, key), f"is not a known key; {hint}")
    made = {}
    for field_ in fields(kind):
        inner = _join(path, field_.name)
        if field_.name in value:
            made[field_.name] = read(hints[field_.name], value[field_.name], inner)
        elif _optional(hints[field_.name]):
            made[field_.name] = None
        else:
            raise RulesError(inner, "is missing")
    return kind(**made)


def _optional(kind: Any) -> bool:
    return type(None) in get_args(kind)


def _limited(value: Any, limits: list[Any], path: str) -> Any:
    for limit in limits:
        low, high = limit.low, limit.high
        values = (value.smallest, value.largest) if isinstance(value, Curve) else (value,)
        if any(not low <= v <= high for v in values):
            raise RulesError(path, f"must lie between {low} and {high}, not {_shown(value)}")
    return value


def _whole(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise RulesError(path, f"must be a whole number, not {_shown(value)}")


def _text(value: Any, path: str) -> str:
    if (
        not isinstance(value, str)
        or not value
        or any(c in value for c in '"\\\n\r')
        or not value.isprintable()
    ):
        raise RulesError(
            path, f"must be a text without quotes, backslashes or line breaks, not {_shown(value)}"
        )
    return value


def _text_or_whole(value: Any, path: str) -> str | int:
    return _whole(value, path) if isinstance(value, int) else _text(value, path)


def _day(value: Any, path: str) -> date:
    if isinstance(value, str):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise RulesError(path, f"must be a day as YYYY-MM-DD, not {_shown(value)}")
    return value


def _share(value: Any, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= 1:
        raise RulesError(path, f"must be a share between 0 and 1, not {_shown(value)}")
    return Decimal(value)


def _cents(value: Any, path: str) -> int:
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MOST_MONEY or (value * 100) % 1 != 0:
        raise RulesError(
            path,
            f"must be an amount of money up to {_MOST_MONEY} with at most two digits behind the point, "
            f"not {_shown(value)}",
        )
    return int(value * 100)


def _rate(value: Any, path: str) -> int:
    """In millionths."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value < 10_000:
        raise RulesError(path, f"must be a rate above 0 and below 10000, not {_shown(value)}")
    if (value * 10**RATE_DIGITS) % 1 != 0:
        raise RulesError(path, f"can have at most {RATE_DIGITS} digits behind the point")
    return int(value * 10**RATE_DIGITS)


def _curve(value_of: Callable[[Any, str], int]) -> Callable[[Any, str], Curve]:
    def make(value: Any, path: str) -> Curve:
        if (
            not isinstance(value, list)
            or len(value) < 2
            or any(not isinstance(p, list) or len(p) != 2 for p in value)
        ):
            raise RulesError(
                path, f"must be a curve: a list of [percent, value] points, not {_shown(value)}"
            )
        points = []
        for n, (percent, amount) in enumerate(value):
            if isinstance(percent, bool) or not isinstance(percent, int | Decimal):
                raise RulesError(
                    f"{path}[{n}]", f"the percent must be a number, not {_shown(percent)}"
                )
            points.append((Decimal(percent), value_of(amount, f"{path}[{n}]")))
        percents = [percent for percent, _ in points]
        if percents[0] != 0 or percents[-1] != 100 or any(b <= a for a, b in pairwise(percents)):
            raise RulesError(path, "the percents must rise from 0 to 100")
        if any(percent * 10**6 % 1 for percent in percents):
            raise RulesError(path, "the percents can have at most six digits behind the point")
        amounts = [amount for _, amount in points]
        if any(b < a for a, b in pairwise(amounts)):
            raise RulesError(path, "the values must not fall")
        if amounts[0] < 0 or amounts[-1] > _MAX_VALUE:
            raise RulesError(path, f"the values must lie between 0 and {_MAX_VALUE}")
        return Curve.through(points)

    return make


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    int: _whole,
    str: _text,
    str | int: _text_or_whole,
    date: _day,
    Share: _share,
    Cents: _cents,
    Rate: _rate,
    Curve: _curve(_whole),
    CurveOfMoney: _curve(_cents),
}


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _shown(value: Any) -> str:
    if isinstance(value, Curve):
        return f"a curve from {value.smallest} to {value.largest}"
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
