"""Masks personal data in texts and rows that are printed or kept.

Masked are the columns that a contract marks as personal (tag pii), in whatever table and under the
other names that dbt's tests give them, and whole rows as they were delivered. In every text, e-mail
addresses, long numbers (of phones and cards) and the values that PostgreSQL's messages quote are
masked.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from saas_analytics.contracts import SOURCES, load_contract

# The names of a column's values in dbt's own tests (unique, accepted_values, relationships).
_NAMES_IN_TESTS = frozenset({"unique_field", "value_field", "from_field"})
# Columns that hold a row as it was delivered, or its fields that no contract knows.
_DELIVERED = frozenset({"_original", "original", "_doc", "_extra"})
MASK = "***"
_LONGEST = 200  # characters of a value
# The patterns are of limited length, so that a long text without a match does not take long.
_EMAIL = re.compile(r"[^\s@\"'<>,;:(){}\[\]]{1,64}@[^\s@\"'<>,;:(){}\[\]]{1,255}\.\w+")
_NUMBER = re.compile(r"\+?\b\d(?:[ ()./-]{0,2}\d){8,}\b")
# A value may contain brackets and line breaks: the masked part ends at the last bracket.
_QUOTED = re.compile(
    r"(Failing row contains |\bkey \([^=]{0,1000}\)=)\((?:.*\)|.*)", re.IGNORECASE | re.DOTALL
)
_REFUSED = re.compile(
    r"(invalid input (?:syntax|value) for [^:\n]{0,200}: |JSON data, line \d+: ).*"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d)?")  # with the hour that follows it


def masked_text(text: str) -> str:
    """The text without e-mail addresses, phone and card numbers, and values that PostgreSQL quotes.

    Dates and times stay.
    """
    text = _REFUSED.sub(rf"\1{MASK}", _QUOTED.sub(rf"\1({MASK})", text))
    text = _EMAIL.sub(MASK, text)
    return _NUMBER.sub(lambda found: found[0] if _DATE.fullmatch(found[0]) else MASK, text)


def masked_row(row: dict[str, Any], column: str | None = None) -> dict[str, Any]:
    """A row as values for JSON, masked and cut. `column` is the one that its test is for."""
    personal = _personal_columns() | _DELIVERED
    if column in personal:
        personal |= _NAMES_IN_TESTS
    return {
        name: MASK if name in personal and value is not None else _masked(value)
        for name, value in row.items()
    }


def _masked(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, default=str)
        if isinstance(value, dict | list)
        else str(value)
    )
    masked = masked_text(text) if isinstance(value, str | dict | list) else text
    return masked if len(masked) <= _LONGEST else masked[:_LONGEST] + "..."


@cache
def _personal_columns() -> frozenset[str]:
    return frozenset(
        column.name for source in SOURCES for column in load_contract(source).columns if column.pii
    )
