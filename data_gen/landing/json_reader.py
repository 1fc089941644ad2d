"""Reads JSON Lines and JSON arrays as a stream of single documents, each with its line number and its own text.

The text of a document is kept as it is in the file, so that a number lands with every digit that it was written with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

import orjson

from data_gen.landing.records import (
    MAX_ORIGINAL,
    MAX_RECORD,
    Overlong,
    Reason,
    Reject,
    lines,
    reject,
    text_fault,
    without_end,
)

_SPACE = re.compile(r"[ \t\r\n]*")
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
# Where a broken document may end (group 1) and the next one begin.
_NEXT_ELEMENT = re.compile(r"()(?=,\s*\{)")
_NEXT_OBJECT = re.compile(r"(\n)\s*(?=\{)")
_MARKS = re.compile(r'["{}\[\]]|\\.', re.DOTALL)
_NEAR = 64  # an error this near to the end of what was read may only mean that the rest has not been read


_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(rb"[\[\]{}]")
_MANY_BRACKETS = 200
_MANY_DIGITS = 1000


class Number(str):
    """A JSON number as it is written in the file."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise JSONDecodeError(f"{name} is not JSON", "", 0)


def _number(literal: str) -> Number:
    """The literal, unless no numeric of PostgreSQL holds it."""
    exponent = literal.lower().partition("e")[2]
    if len(literal) > _MANY_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) > _MANY_DIGITS:
        raise JSONDecodeError(f"{literal[:40]} is too large or too precise a number", "", 0)
    return Number(literal)


_DECODER = JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_refuse_constant)


# The C function under JSONDecoder.raw_decode: it says where it stopped, also when it found nothing.
_scan: Callable[[str, int], tuple[Any, int]] = vars(_DECODER)["scan_once"]


def parse(text: bytes) -> Any:
    """The value of a JSON text; numbers are Number. ValueError where it is not JSON."""
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dump(value: Any) -> bytes:
    """The JSON text of what parse() gave, numbers as they were written. ValueError for half a surrogate pair."""
    try:
        return orjson.dumps(value, default=_verbatim, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from None


def _verbatim(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} does not come from JSON")


def fault_of_escapes(text: bytes, value: Any) -> Reason | None:
    """Why strings in the parsed `value` of `text` cannot be text in PostgreSQL, though they are JSON."""
    if b"\\u" not in text:
        return None  # what is not written as an escape has been seen by text_fault
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
    """Why the server does not take this text as JSON."""
    try:
        return fault_of_escapes(text, parse(text)) or "broken_json"
    except (ValueError, RecursionError):
        return "broken_json"


def depth(text: bytes) -> int:
    """How deep brackets are nested in a text that may be JSON; 0 where it has too few to matter."""
    if text.count(b"{") + text.count(b"[") < _MANY_BRACKETS:
        return 0
    deepest = current = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", text)):
        current += 1 if bracket[0] in b"{[" else -1
        deepest = max(deepest, current)
    return deepest


Document = tuple[int, bytes]


def json_lines(blocks: Iterator[bytes]) -> Iterator[Document | Reject]:
    """The documents of a JSON Lines stream, by physical line; empty lines are not records.

    Whether they are JSON is not looked at here, only whether they are text.
    """
    for number, physical in enumerate(lines(blocks, quoted=False), start=1):
        if isinstance(physical, Overlong):
            yield reject(number, "too_long", physical)
            continue
        record = without_end(physical)
        if not record:
            continue
        fault = text_fault(record)
        yield reject(number, fault, record) if fault else (number, record)


def json_documents(blocks: Iterator[bytes]) -> Iterator[Document | Reject]:
    """The elements of a JSON array, or the one object that is the file; the line is the position, from 1.

    Line ends between tokens become spaces, so that a document is one line. What cannot be read is rejected, and
    reading goes on at the next element that can be found; of an array that is broken off, the end is one reject.
    JSON Lines under the name .json are read too: one object after the other without an array around them.
    """
    window = _Window(blocks)
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


class _Window:
    """The part of a JSON text that is in memory. Bytes that are not UTF-8 are in it as lone surrogates."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._undecoded = b""
        self._text = ""
        self._at = 0
        self._ended = False
        self._failed = 0  # how far from here take_value saw that there is no value
        self._is_too_long = False  # it found none because the value does not fit into the window

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def advance(self, count: int) -> None:
        self._at += count

    def take_value(self) -> str | None:
        """The text of the JSON value that begins here; None, and nothing taken, where there is none."""
        self._is_too_long = False
        while True:
            try:
                _, end = _scan(self._text, self._at)
            except StopIteration as stop:
                self._failed = stop.value - self._at
                if not self._read_on(stop.value >= len(self._text) - _NEAR):
                    return None
            except JSONDecodeError as error:
                self._failed = error.pos - self._at
                in_string = error.msg.startswith("Unterminated string")
                if not self._read_on(in_string or error.pos >= len(self._text) - _NEAR):
                    return None
            except RecursionError:
                self._failed = 0
                return None
            else:
                # A number at the very end may go on in the next block.
                if end == len(self._text) and self._text[end - 1] not in '}]"' and self._read():
                    continue
                value = self._text[self._at : end]
                self._at = end
                return value

    def skip_to_next(self, in_array: bool) -> str:
        """Skip to where the next document may begin, and give what was skipped."""
        # What lies before the place where reading failed belongs to the broken document. It has a character at least.
        known = max(self._failed, 1)
        while True:
            match = (_NEXT_ELEMENT if in_array else _NEXT_OBJECT).search(self._text, self._at + known)
            if match or not self._read():
                end = match.end(1) if match else len(self._text)
                skipped = self._text[self._at : end]
                self._at = end
                return skipped

    def skip_too_long(self, number: int) -> Reject | None:
        """Skip a value that does not fit into the window, by its brackets; None where that was not the fault."""
        if not self._is_too_long:
            return None
        start = Overlong(self._text[self._at : self._at + MAX_ORIGINAL].encode("utf-8", "surrogateescape"))
        start.size = deep = 0
        inside = False  # a string
        while True:
            for mark in _MARKS.finditer(self._text, self._at):
                if mark[0] == '"':
                    inside = not inside
                elif not inside and mark[0] in "{}[]":
                    deep += 1 if mark[0] in "{[" else -1
                    if deep <= 0:
                        start.size += mark.end() - self._at
                        self._at = mark.end()
                        return reject(number, "too_long", start)
            # An escape at the end may be cut: its backslash is looked at again, with what it escapes.
            end = len(self._text) - (self._text.endswith("\\") and not self._text.endswith("\\\\"))
            start.size += end - self._at
            self._at = end
            if not self._read():
                return reject(number, "too_long", start)

    def _read_on(self, is_cut: bool) -> bool:
        """Read as much again as there is of a value that may be cut off: a long one is not scanned too often."""
        if not is_cut:
            return False
        wanted = 2 * (len(self._text) - self._at)
        has_read = self._read()
        while has_read and len(self._text) < wanted and self._read():
            continue
        self._is_too_long = not has_read and not self._ended
        return has_read

    def _read(self) -> bool:
        """Read one more block; False at the end, or when the window has become larger than a record may be."""
        if self._ended or len(self._text) - self._at > MAX_RECORD:
            return False
        block = next(self._blocks, None)
        self._ended = block is None
        data = self._undecoded + (block or b"")
        whole = len(data) if self._ended else _end_of_characters(data)
        self._undecoded = data[whole:]
        self._text = self._text[self._at :] + data[:whole].decode("utf-8", "surrogateescape")
        self._at = 0
        return not self._ended or bool(whole)


def _end_of_characters(data: bytes) -> int:
    """Where the last character of `data` that is whole ends."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # a first byte: its character is cut unless it has all its bytes
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
    return len(data)
