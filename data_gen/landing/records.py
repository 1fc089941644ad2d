"""What readers give: records with their line numbers, and what could not be a record, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

Reason = Literal[
    "bad_utf8",  # the bytes are not UTF-8, or an escape in JSON is half a surrogate pair
    "nul_byte",  # a NUL, which no text in PostgreSQL may have
    "broken_json",
    "not_an_object",  # JSON, but a number, a string or an array
    "wrong_field_count",
    "unterminated_quote",
    "too_long",  # longer than MAX_RECORD
]
# The longest record that is taken into memory, and how much of a rejected one is kept.
MAX_RECORD = 16 * 1024 * 1024
MAX_ORIGINAL = 256 * 1024


class Overlong(bytes):
    """The beginning of a line that is longer than a record may be. `size` is that of the whole line."""

    size: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be a row. `original` is its text, with what is not text written as \\xNN."""

    line: int
    reason: Reason
    original: str


def reject(line: int, reason: Reason, original: bytes) -> Reject:
    """A reject of these bytes."""
    size = original.size if isinstance(original, Overlong) else len(original)
    kept = original[:MAX_ORIGINAL].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    if size > MAX_ORIGINAL:
        kept += f"... ({size} bytes)"
    return Reject(line, reason, kept)


def text_fault(record: bytes) -> Reason | None:
    """Why these bytes cannot be text in PostgreSQL; None where they can."""
    if b"\x00" in record:
        return "nul_byte"
    try:
        record.decode("utf-8")
    except UnicodeDecodeError:
        return "bad_utf8"
    return None


def lines(blocks: Iterator[bytes], *, quoted: bool) -> Iterator[bytes]:
    """The lines of a stream with their ends. Where the first line ends in a lone CR, a CR ends lines as well.

    That is the rule of PostgreSQL's COPY, by which the fast way reads. `quoted`: a line end between quotes is not
    the end of the first line, though it ends a line here; the reader of CSV puts such lines together again.
    Of a line that is longer than MAX_RECORD only the beginning is given, as Overlong.
    """
    start = b""
    for block in blocks:
        start += block
        if _first_end(start, quoted) or len(start) > MAX_RECORD:
            break
    split = _any_lines if _first_end(start, quoted) == b"\r" else _newline_lines
    return split(chain((start,), blocks))


_MARKS = re.compile(rb'["\r\n]')


def _first_end(text: bytes, quoted: bool) -> bytes | None:
    """How the first line ends: b"\\n" (also for CR LF) or b"\\r". None where it does not end here."""
    inside = False
    for mark in _MARKS.finditer(text):
        if mark[0] == b'"':
            inside = quoted and not inside
        elif not inside:
            after = text[mark.end() : mark.end() + 1]
            if mark[0] == b"\n" or after == b"\n":
                return b"\n"
            return b"\r" if after else None
    return None


def _newline_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    line = _Line()
    for block in blocks:
        first, *complete = block.split(b"\n")
        line.add(first)
        if not complete:
            continue
        yield line.end(b"\n")
        last = complete.pop()
        for one in complete:
            yield one + b"\n"  # it fits into a block
        line.add(last)
    if line.size:
        yield line.end(b"")


def _any_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    line = _Line()
    held = b""  # a CR at the end of a block may still get its LF
    for block in blocks:
        text = held + block
        held = text[-1:] if text.endswith(b"\r") else b""
        for piece in text[: len(text) - len(held)].splitlines(keepends=True):
            line.add(piece)
            if piece.endswith((b"\r", b"\n")):
                yield line.end(b"")
    line.add(held)
    if line.size:
        yield line.end(b"")


class _Line:
    """A line that is put together from pieces; in memory only as far as a record may be long."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        if self.size <= MAX_RECORD:
            self._pieces.append(piece)
        self.size += len(piece)

    def end(self, mark: bytes) -> bytes:
        """The line with this mark at its end. What is added from here on is of the next one."""
        line = b"".join([*self._pieces, mark])
        if self.size > MAX_RECORD:
            line = Overlong(line[:MAX_ORIGINAL])
            line.size = self.size
        self._pieces, self.size = [], 0
        return line


def without_end(line: bytes) -> bytes:
    """A line without its line end."""
    if line.endswith(b"\n"):
        line = line[:-1]
    return line.removesuffix(b"\r")
