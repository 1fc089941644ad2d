"""A window that moves over a JSON text, taking values and skipping the rest, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from json import JSONDecodeError
from typing import Any

from saas_analytics.landing.records import MAX_ORIGINAL, MAX_RECORD, Overlong, Reject, reject

Scan = Callable[[str, int], tuple[Any, int]]

_SPACE = re.compile(r"[ \t\r\n]*")
# Where a broken document may end (group 1) and the next one begin.
_NEXT_ELEMENT = re.compile(r"()(?=,\s*\{)")
_NEXT_OBJECT = re.compile(r"(\n)\s*(?=\{)")
_MARKS = re.compile(r'["{}\[\]]|\\.', re.DOTALL)
_NEAR = 64  # an error so near to the end of the window may be only that: text not read yet


class Window:
    """The part of a JSON text that is in memory, with bytes that are not UTF-8 as lone surrogates.

    `scan` returns the value at a position of a text and the position of its end. If there is none,
    it raises StopIteration or JSONDecodeError with the position.
    """

    def __init__(self, blocks: Iterator[bytes], scan: Scan) -> None:
        self._blocks = blocks
        self._scan = scan
        self._undecoded = b""
        self._text = ""
        self._at = 0
        self._ended = False
        self._failed = 0  # how far from _at take_value found that there is no value
        self._is_too_long = False  # the value does not fit into the window

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
        """Take the JSON value that begins here. None, and nothing is taken, if there is none."""
        self._is_too_long = False
        while True:
            try:
                _, end = self._scan(self._text, self._at)
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
                # A number at the very end may continue in the next block.
                if end == len(self._text) and self._text[end - 1] not in '}]"' and self._read():
                    continue
                value = self._text[self._at : end]
                self._at = end
                return value

    def skip_to_next(self, in_array: bool) -> str:
        """Skip to where the next document may begin. Returns the skipped text."""
        # The text before the failure belongs to the broken document, which is not empty.
        known = max(self._failed, 1)
        while True:
            match = (_NEXT_ELEMENT if in_array else _NEXT_OBJECT).search(
                self._text, self._at + known
            )
            if match or not self._read():
                end = match.end(1) if match else len(self._text)
                skipped = self._text[self._at : end]
                self._at = end
                return skipped

    def skip_too_long(self, number: int) -> Reject | None:
        """Skip, by its brackets, a value that does not fit; None if that was not the problem."""
        if not self._is_too_long:
            return None
        start = Overlong(
            self._text[self._at : self._at + MAX_ORIGINAL].encode("utf-8", "surrogateescape")
        )
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
            # An escape may be cut here: its backslash stays in the window, for the next block.
            end = len(self._text) - (self._text.endswith("\\") and not self._text.endswith("\\\\"))
            start.size += end - self._at
            self._at = end
            if not self._read():
                return reject(number, "too_long", start)

    def _read_on(self, is_cut: bool) -> bool:
        """Double the text of a value that may be cut off, so that a long value has few scans."""
        if not is_cut:
            return False
        wanted = 2 * (len(self._text) - self._at)
        has_read = self._read()
        while has_read and len(self._text) < wanted and self._read():
            continue
        self._is_too_long = not has_read and not self._ended
        return has_read

    def _read(self) -> bool:
        """Read one more block. False at the end, or if the window exceeds the longest record."""
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
    """The position after the last complete character of `data`."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # a first byte: its character is cut unless all its bytes are there
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
    return len(data)
