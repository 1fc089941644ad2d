"""The rejects that readers give, with their reasons, and the limits of a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "bad_utf8",  # the bytes are not UTF-8, or an escape in JSON is half a surrogate pair
    "nul_byte",  # text in PostgreSQL cannot have a NUL
    "broken_json",
    "not_an_object",  # JSON, but a number, a string or an array
    "wrong_field_count",
    "unterminated_quote",
    "too_long",  # longer than MAX_RECORD
]
# Bytes: of the longest record that is read into memory, and of a reject that is kept.
MAX_RECORD = 16 * 1024 * 1024
MAX_ORIGINAL = 256 * 1024


class Overlong(bytes):
    """The beginning of a line that is longer than MAX_RECORD. `size` is that of the whole line."""

    size: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be a row. `original` is its text, with other bytes as \\xNN."""

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
    """Why these bytes cannot be text in PostgreSQL; None if they can be."""
    if b"\x00" in record:
        return "nul_byte"
    try:
        record.decode("utf-8")
    except UnicodeDecodeError:
        return "bad_utf8"
    return None


def without_end(line: bytes) -> bytes:
    """A line without its line end."""
    if line.endswith(b"\n"):
        line = line[:-1]
    return line.removesuffix(b"\r")
