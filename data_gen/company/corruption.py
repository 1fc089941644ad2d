"""The defect of a single row: from its values as text to the values that are written instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from data_gen.company.schemas import Source

Values = dict[str, str | None]  # each column's value as text; a column whose text is JSON has JSON

# Placeholders for bytes that no text has. The writer of a row replaces them.
NUL, NO_UTF8 = "\ue000", "\ue001"

_CURRENCIES = ("XXX", "BTC", "US$", "EURO", "???")
_COUNTRIES = ("XX", "ZZ", "Atlantis", "QQ", "UN")
# Cyrillic letters that look like Latin ones.
_LOOKALIKES = str.maketrans("aeopcxyi", "аеорсхуі")  # noqa: RUF001
_FULL_WIDTH = 0xFEE0  # from a letter of ASCII to its wide form
_PERSONAL = (
    '"note":"please write to jane.roe{n}@example.com"',
    '"contact":"+1 555 010 {n:04d}"',
    '"memo":"card 4111 1111 1111 {n:04d}"',
)
_MILLISECONDS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Change:
    """One value that was changed."""

    column: str
    original: str | None
    corrupted: str | None


class _Dice:
    """A few small draws out of 64 random bits."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def below(self, limit: int) -> int:
        self._bits, drawn = divmod(self._bits, limit)
        return drawn


def corrupted(
    kind: str, source: Source, columns: tuple[str, ...], values: Values, bits: int
) -> list[Change]:
    """The changes of a row for a class of defects; none if the row cannot have the defect."""
    dice = _Dice(bits)
    if kind == "compound":
        *_, category = columns
        times = [column for column in columns if column != category]
        changes = [c for time in times for c in _bad_timestamp(source, time, values, dice)]
        return changes + _untidy(category, values, dice)
    if kind == "unreconciled_payment" and (
        values["kind"] != "charge" or values["order_id"] is None
    ):
        return []
    column = columns[dice.below(len(columns))]
    value = values[column]
    if kind == "missing_required":
        return [Change(column, value, None)]
    if value is None:
        return []
    if kind == "bad_timestamp":
        return _bad_timestamp(source, column, values, dice)
    if kind == "untidy_text":
        return _untidy(column, values, dice)
    return [Change(column, value, _CORRUPT[kind](value, dice))]


def _bad_timestamp(source: Source, column: str, values: Values, dice: _Dice) -> list[Change]:
    value = values[column]
    if value is None:
        return []
    # Parquet files have a type for times, which can hold absurd times but no invalid ones.
    way = dice.below(2 if source.format == "parquet" else 4)
    if way == 0:
        bad = "1970-01-01T00:00:00.000Z"
    elif way == 1:
        bad = "2099" + value[4:].replace("-02-29", "-02-28")
    elif way == 2:
        bad = value[:8] + "32" + value[10:]
    else:
        instant = datetime.fromisoformat(value.replace("Z", "+00:00"))
        bad = str(round((instant - _MILLISECONDS).total_seconds() * 1000))
    return [Change(column, value, bad)]


def _untidy(column: str, values: Values, dice: _Dice) -> list[Change]:
    value = values[column]
    if value is None:
        return []
    ways = (
        f" {value}",
        f"{value}  ",
        value.upper(),
        value.title(),
        f"\u00a0{value}",
        f" {value.upper()} ",
    )
    possible = [way for way in ways if way != value]
    return [Change(column, value, possible[dice.below(len(possible))])]


def _lookalike(value: str, dice: _Dice) -> str:
    places = [n for n, letter in enumerate(value) if letter.translate(_LOOKALIKES) != letter]
    if places:
        at = places[dice.below(len(places))]
        return value[:at] + value[at].translate(_LOOKALIKES) + value[at + 1 :]
    wide = next((n for n, letter in enumerate(value) if "!" <= letter <= "~"), None)
    if wide is None:
        return value + "\u200b"
    return value[:wide] + chr(ord(value[wide]) + _FULL_WIDTH) + value[wide + 1 :]


def _not_positive(value: str, dice: _Dice) -> str:
    if dice.below(2):
        return f"-{value}"
    return "0.00" if "." in value else "0"


def _nobody(value: str, dice: _Dice) -> str:
    """An id of the same kind that nothing has: a very high number, or a hash of nines."""
    prefix = re.match(r"[a-z]+?(?=[0-9a-f]{16}$|\d)", value)
    start = prefix[0] if prefix else ""
    digits = len(value) - len(start)
    return start + (
        "9" * 12 + f"{dice.below(10_000):04d}"
        if digits >= 16
        else f"99{dice.below(10_000_000):07d}"
    )


def _another_body(value: str, dice: _Dice) -> str:
    """Another plausible value."""
    if re.fullmatch(r"\d+(\.\d+)?", value):
        whole, dot, rest = value.partition(".")
        return f"{int(whole) + 1 + dice.below(5)}{dot}{rest}"
    return f"{value}0" if value.startswith("+") else f"{value}-{1 + dice.below(9)}"


def _with_personal_data(value: str, dice: _Dice) -> str:
    way = dice.below(len(_PERSONAL))
    added = _PERSONAL[way].format(n=dice.below(10_000))
    return "{" + added + "}" if value == "{}" else value[:-1] + "," + added + "}"


def _middle(mark: str, value: str) -> str:
    half = max(len(value) // 2, 1)
    return value[:half] + mark + value[half:]


_CORRUPT: dict[str, Callable[[str, _Dice], str]] = {
    "conflicting_duplicate": _another_body,
    "bad_quantity": _not_positive,
    "unknown_currency": lambda value, dice: _CURRENCIES[dice.below(len(_CURRENCIES))],
    "unknown_country": lambda value, dice: _COUNTRIES[dice.below(len(_COUNTRIES))],
    "orphan_key": _nobody,
    "unreconciled_payment": _another_body,
    "personal_data": _with_personal_data,
    "lookalike_text": _lookalike,
    "invalid_utf8": lambda value, dice: _middle(NO_UTF8, value),
    "nul_byte": lambda value, dice: _middle(NUL, value),
    "embedded_newline": lambda value, dice: (
        value.replace(" ", "\n", 1) if " " in value else f"{value}\n"
    ),
}
