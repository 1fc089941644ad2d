"""Reads JSON Lines and JSON arrays as a stream of documents, each with its line and its text.

The text of a document is that of the file, so a number lands with every digit that it has there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

import orjson

from saas_analytics.landing.json_window import Scan, Window
from saas_analytics.landing.lines import Lines
from saas_analytics.landing.records import (
    MAX_RECORD,
    Overlong,
    Reason,
    Reject,
    reject,
    text_fault,
    without_end,
)

_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(rb"[\[\]{}]")
_MANY_BRACKETS = 200
_MANY_DIGITS = 1000


class Number(str):
    """A JSON number, as it is written in the file."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise JSONDecodeError(f"{name} is not JSON", "", 0)


def _number(literal: str) -> Number:
    """The literal as a Number. JSONDecodeError if PostgreSQL's numeric cannot hold it."""
    exponent = literal.lower().partition("e")[2]
    if len(literal) > _MANY_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) > _MANY_DIGITS:
        raise JSONDecodeError(f"{literal[:40]} is too large or too precise a number", "", 0)
    return Number(literal)


_DECODER = JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_refuse_constant)


# The C function under JSONDecoder.raw_decode: it returns where it stopped, even without a value.
_scan: Scan = vars(_DECODER)["scan_once"]


def parse(text: bytes) -> Any:
    """The value of a JSON text, with numbers as Number. ValueError if it is not JSON."""
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dump(value: Any) -> bytes:
    """The JSON text of a value of parse(), with numbers as they were written.

    ValueError for half a surrogate pair.
    """
    try:
        return orjson.dumps(value, default=_verbatim, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from None


def _verbatim(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def fault_of_escapes(text: bytes, value: Any) -> Reason | None:
    """Why PostgreSQL cannot store strings in the JSON `text`, whose parsed value is `value`."""
    if b"\\u" not in text:
        return None  # text_fault has checked everything that is not an escape
    if isinstance(value, str):
        if "\x00" in value:
            return "nul_byte"
        return "bad_utf8" if _SURROGATE.search(value) else None
    inside: Iterator[Any] = iter(())
    if isinstance(value, dict):
        inside = chain(value.keys(), value.values())
    elif isinstance(value, list):
        inside = iter(value)
    return next((fault for one in inside if (fault := fault_of_escapes(text, one))), None)


def fault_of_json(text: bytes) -> Reason:
    """Why the server refuses this text as JSON."""
    try:
        return fault_of_escapes(text, parse(text)) or "broken_json"
    except (ValueError, RecursionError):
        return "broken_json"


# JSON that is nested deeper cannot be written again.
DEEPEST = 200


def depth(text: bytes) -> int:
    """How deep the brackets of a possible JSON text are nested; 0 if it has only a few."""
    if text.count(b"{") + text.count(b"[") < _MANY_BRACKETS:
        return 0
    deepest = current = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", text)):
        current += 1 if bracket[0] in b"{[" else -1
        deepest = max(deepest, current)
    return deepest


Document = tuple[int, bytes]


class JsonLines:
    """The documents of a JSON Lines stream, by physical line; empty lines are not records.

    It checks only that they are text, not that they are JSON. A caller that takes lines from
    `lines` between two records adds them to `line`, the number of the last record.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.lines = Lines(blocks, quoted=False)
        self.line = 0

    def __iter__(self) -> Iterator[Document | Reject]:
        for physical in self.lines:
            self.line += 1
            if isinstance(physical, Overlong):
                yield reject(self.line, "too_long", physical)
                continue
            record = without_end(physical)
            if not record:
                continue
            fault = text_fault(record)
            yield reject(self.line, fault, record) if fault else (self.line, record)


def json_documents(blocks: Iterator[bytes]) -> Iterator[Document | Reject]:
    """The elements of a JSON array, or the single object of a file.

    The line is the position, from 1. Line ends between tokens become spaces, so that a document is
    one line. A broken element is rejected, and reading goes on at the next one that can be found.
    The end of a truncated array is one reject. JSON Lines in a file called .json are read too:
    objects without an array.
    """
    window = Window(blocks, _scan)
    in_array = window.peek() == "["
    if in_array:
        window.advance(1)
    number = 0
    while mark := window.peek():
        if in_array and number and mark == ",":
            window.advance(1)
            mark = window.peek()
        elif in_array and number and mark != "]":
            number += 1
            yield _broken(number, window.skip_to_next(in_array))
            continue
        if in_array and mark == "]":
            window.advance(1)
            if window.peek():  # something after the array
                yield _broken(number + 1, window.skip_to_next(in_array))
            return
        if not mark:
            break
        number += 1
        text = window.take_value()
        if text is None:
            yield window.skip_too_long(number) or _broken(number, window.skip_to_next(in_array))
            continue
        raw = text.encode("utf-8", "surrogateescape")
        fault = text_fault(raw) if len(raw) <= MAX_RECORD else "too_long"
        yield reject(number, fault, raw) if fault else (number, raw.translate(_LINE_ENDS))
    if in_array:
        yield Reject(number + 1, "broken_json", "(the file ends inside the array)")


def _broken(number: int, text: str) -> Reject:
    raw = text.encode("utf-8", "surrogateescape")
    return reject(number, text_fault(raw) or "broken_json", raw)
