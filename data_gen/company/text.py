"""Columns of text made from numbers, a whole column at a time: ids, instants, joined rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_gen.company.columns import constant, whole
from data_gen.company.hashing import I64, U64

Letters = NDArray[np.uint8]  # one row of fixed width per value

DAY_MS = 86_400_000
INSTANT = b"0000-00-00T00:00:00.000Z"


def _digits(width: int) -> Letters:
    numbers = (
        np.arange(10**width, dtype=np.int64)[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10
    )
    return (numbers + ord("0")).astype(np.uint8)


_HEX = np.array([f"{n:02x}".encode() for n in range(256)], dtype="S2").view(np.uint16)
_THREE = _digits(3)


def _clock() -> NDArray[np.uint64]:
    """'HH:MM:SS' of every second of a day. Its eight letters are one 64-bit number, for speed."""
    second = np.arange(86_400)
    letters = np.full((86_400, 8), ord(":"), dtype=np.uint8)
    two = _digits(2)
    for at, value in ((0, second // 3600), (3, second // 60 % 60), (6, second % 60)):
        letters[:, at : at + 2] = two[value]
    return letters.view(np.uint64)[:, 0]


_CLOCK = _clock()


def hexadecimal(numbers: U64) -> Letters:
    """16 letters for each number."""
    return _HEX[numbers.byteswap().view(np.uint8)].view(np.uint8).reshape(len(numbers), 16)


def template(text: bytes, rows: int) -> Letters:
    """`rows` copies of a text, to be filled in."""
    letters = np.empty((rows, len(text)), dtype=np.uint8)
    letters[:] = np.frombuffer(text, dtype=np.uint8)
    return letters


def put_instant(letters: Letters, at: int, day: I64 | int, ms: I64) -> None:
    """Write instants in the form of INSTANT at column `at`.

    `day`: number since 1970; `ms`: milliseconds within it.
    """
    if isinstance(day, int):
        letters[:, at : at + 10] = np.frombuffer(
            str(np.datetime64(day, "D")).encode(), dtype=np.uint8
        )
    elif len(day):
        first = int(day.min())
        days = np.arange(first, int(day.max()) + 1).astype("M8[D]").astype("S10")
        letters[:, at : at + 10] = days.view(np.uint8).reshape(len(days), 10)[day - first]
    second = ms // 1000
    letters[:, at + 11 : at + 19] = _CLOCK[second].view(np.uint8).reshape(len(ms), 8)
    letters[:, at + 20 : at + 23] = _THREE[ms - second * 1000]


def column(letters: Letters) -> pa.Array:
    """Fixed-width rows as an Arrow column, without copying."""
    rows, width = letters.shape
    ends = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(
        rows, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(letters))
    )


def instants(ms: I64) -> pa.Array:
    """Milliseconds since 1970 as text."""
    letters = template(INSTANT, len(ms))
    put_instant(letters, 0, ms // DAY_MS, ms % DAY_MS)
    return column(letters)


def hex_ids(prefix: str, numbers: U64) -> pa.Array:
    letters = template(prefix.encode() + b"0" * 16, len(numbers))
    letters[:, len(prefix) :] = hexadecimal(numbers)
    return column(letters)


def numbered(prefix: str, numbers: I64, width: int) -> pa.Array:
    """'u000123': at least `width` digits."""
    return join([prefix, pc.utf8_lpad(whole(numbers).cast(pa.string()), width, "0")])


def join(pieces: Sequence[pa.Array | str], separator: str = "") -> pa.Array:
    """The parts of each row, joined. They must have no nulls."""
    texts = [constant(piece) if isinstance(piece, str) else piece for piece in (*pieces, separator)]
    return pc.binary_join_element_wise(*texts)


def offsets(rows: pa.Array) -> NDArray[np.int32]:
    """Where each row of `contents` begins, and where the last one ends."""
    if not len(rows):
        return np.zeros(1, dtype=np.int32)
    places = np.frombuffer(rows.buffers()[1], dtype=np.int32)[
        rows.offset : rows.offset + len(rows) + 1
    ]
    from_start: NDArray[np.int32] = places - places[0]
    return from_start


def contents(rows: pa.Array) -> memoryview:
    """The bytes of all rows, one after another, without copying: Arrow keeps them that way."""
    if not len(rows):
        return memoryview(b"")
    offsets = np.frombuffer(rows.buffers()[1], dtype=np.int32)
    start, end = offsets[rows.offset], offsets[rows.offset + len(rows)]
    return memoryview(rows.buffers()[2])[start:end]
