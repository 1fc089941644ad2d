"""The conditions of a mapping's `where`, such as "> 0", "in (a, b)", "like 'C%'" or a plain value.

A comparison with a number compares numbers. NULL fulfils only "is null". Text that is not a number
cannot be compared with one: such a row is kept, and staging rejects it with the reason.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, Inexact
from typing import Any

Condition = Callable[[str | None], bool]

_COMPARISON = re.compile(r"(<=|>=|<>|!=|==|=|<|>)\s*(.+)", re.DOTALL)
_LIKE = re.compile(r"(not\s+)?like\s+(.+)", re.IGNORECASE | re.DOTALL)
_IN = re.compile(r"(not\s+)?in\s*\((.+)\)", re.IGNORECASE | re.DOTALL)
_NULL = re.compile(r"is\s+(not\s+)?null", re.IGNORECASE)
_LITERAL = re.compile(r"\s*('(?:[^']|'')*'|[^,']+?)\s*(,|$)", re.DOTALL)
_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,6})?\s*", re.ASCII)
_MOST_PLACES = 1_000
# As many digits as the product of two numbers can have.
_EXACT = Context(prec=4 * _MOST_PLACES, traps=[Inexact])
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition(expression: Any) -> Condition:
    """Parse a condition of a mapping. ValueError if the expression is not a condition."""
    if isinstance(expression, list):
        if not expression:
            raise ValueError("an empty list")
        parts = [condition(part) for part in expression]
        return lambda value: all(part(value) for part in parts)
    if isinstance(expression, bool):
        return _compare(operator.eq, "true" if expression else "false", is_text=True)
    if isinstance(expression, int | float):
        return _compare(operator.eq, str(expression), is_text=False)
    if not isinstance(expression, str) or not expression.strip():
        raise ValueError(f"{expression!r} is not a condition")
    return _parsed(expression.strip())


def _parsed(text: str) -> Condition:
    if match := _NULL.fullmatch(text):
        wanted = match[1] is not None
        return lambda value: (value is not None) == wanted
    if match := _LIKE.fullmatch(text):
        pattern, negated = _like(_single(match[2])[0]), match[1] is not None
        return lambda value: value is not None and (pattern.fullmatch(value) is None) == negated
    if match := _IN.fullmatch(text):
        choices, negated = {literal for literal, _ in _literals(match[2])}, match[1] is not None
        return lambda value: value is not None and (value in choices) != negated
    if match := _COMPARISON.fullmatch(text):
        literal, is_text = _single(match[2])
        return _compare(_OPERATORS[match[1]], literal, is_text)
    if re.match(r"[<>=!]|(?:not|in|is|like)\b", text, re.IGNORECASE):
        raise ValueError(
            f"{text!r} is not a condition. Conditions: > 0, != 'x', in (a, b), not in (a), "
            "like 'C%', is not null, or a value"
        )
    literal, is_text = _single(text)
    return _compare(operator.eq, literal, is_text)


def _compare(compare: Callable[[Any, Any], bool], literal: str, is_text: bool) -> Condition:
    wanted = None if is_text else number(literal)
    if wanted is None:
        return lambda value: value is not None and compare(value, literal)

    def holds(value: str | None) -> bool:
        if value is None:
            return False
        found = number(value)
        return True if found is None else compare(found, wanted)

    return holds


def number(text: str) -> Decimal | None:
    """The number that is written in a text; None if it is not a number.

    A number has ASCII digits, at most one point, perhaps a sign and an exponent, and white space
    around it. Its digits are at most 1,000 places from the point: an exact product of larger ones
    could take all memory.
    """
    if len(text) > 2 * _MOST_PLACES or not _NUMBER.fullmatch(text):
        return None
    found = Decimal(text)
    _, digits, exponent = found.as_tuple()
    assert isinstance(exponent, int)  # it is finite
    if exponent < -_MOST_PLACES or exponent + len(digits) > _MOST_PLACES:
        return None
    return found


def product(one: Decimal, other: Decimal) -> Decimal:
    """The exact product of two results of `number`."""
    return _EXACT.multiply(one, other)


def _single(text: str) -> tuple[str, bool]:
    literals = _literals(text)
    if len(literals) != 1:
        raise ValueError(f"{text!r} is more than one value; quote a value that has a comma: 'a,b'")
    return literals[0]


def _literals(text: str) -> list[tuple[str, bool]]:
    """The values of a list with commas, each with whether it was quoted: then it is text."""
    found: list[tuple[str, bool]] = []
    position = 0
    while True:
        match = _LITERAL.match(text, position)
        if match is None:
            raise ValueError(f"{text!r}: a value or a quote is missing")
        raw = match[1]
        found.append((raw[1:-1].replace("''", "'"), True) if raw.startswith("'") else (raw, False))
        position = match.end()
        if not match[2]:
            return found


def _like(pattern: str) -> re.Pattern[str]:
    parts = (".*" if char == "%" else "." if char == "_" else re.escape(char) for char in pattern)
    return re.compile("".join(parts), re.DOTALL)
