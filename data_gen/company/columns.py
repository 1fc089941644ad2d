"""Arrow columns from numpy's numbers, without copying where that is possible.

`pa.array` would also do, but imports pandas at its first call, which costs more than a small day.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_gen.company.hashing import I64, Mask

INSTANT = pa.timestamp("us", tz="UTC")  # microseconds: what PostgreSQL's timestamptz keeps
MONEY = pa.decimal128(12, 2)
RATE = pa.decimal128(12, 6)


def whole(numbers: I64) -> pa.Array:
    """64-bit whole numbers."""
    return _around(pa.int64(), numbers, np.int64)


def small(numbers: I64) -> pa.Array:
    """Whole numbers that fit 32 bits."""
    return _around(pa.int32(), numbers, np.int32)


def flags(values: Mask) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(_bits(values))])


def moments(ms: I64) -> pa.Array:
    """Milliseconds since 1970 as instants."""
    return _around(INSTANT, ms * 1000, np.int64)


def days(day: I64, known: Mask | None = None) -> pa.Array:
    """Days since 1970 as dates; null if not `known`."""
    valid = None if known is None else pa.py_buffer(_bits(known))
    numbers = np.ascontiguousarray(day, dtype=np.int32)
    return pa.Array.from_buffers(pa.date32(), len(day), [valid, pa.py_buffer(numbers)])


def money(cents: I64) -> pa.Array:
    """Whole cents as decimals with two digits."""
    return decimals(MONEY, cents)


def decimals(kind: pa.DataType, parts: I64) -> pa.Array:
    """Decimals from whole numbers of their last digit. Arrow stores these as 128-bit integers."""
    halves = np.empty((len(parts), 2), dtype="<i8")
    halves[:, 0] = parts
    halves[:, 1] = parts >> 63  # the sign
    return pa.Array.from_buffers(kind, len(parts), [None, pa.py_buffer(halves)])


def words(texts: Sequence[str]) -> pa.Array:
    return byte_words([text.encode() for text in texts])


def byte_words(texts: Sequence[bytes]) -> pa.Array:
    """Texts given as bytes. They are not checked to be UTF-8."""
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(texts))
    )


def words_or_null(texts: Sequence[str | None]) -> pa.Array:
    known = np.array([text is not None for text in texts], dtype=np.bool_)
    filled = words([text or "" for text in texts])
    return pc.if_else(flags(known), filled, constant(None)) if not known.all() else filled


def dates_as_text(day: I64) -> pa.Array:
    return days(day).cast(pa.string())


def numbers(column: pa.Array) -> I64:
    """The 64-bit numbers of a column. A null has an arbitrary number."""
    return np.frombuffer(column.buffers()[1], dtype=np.int64)[
        column.offset : column.offset + len(column)
    ]


@lru_cache(maxsize=256)
def constant(text: str | None) -> pa.Scalar:
    """One text for all rows, or null."""
    return (pa.nulls(1, pa.string()) if text is None else words([text]))[0]


def pick(texts: Sequence[str] | pa.Array, codes: I64) -> pa.Array:
    """The text of each code."""
    return (texts if isinstance(texts, pa.Array) else _dictionary(tuple(texts))).take(whole(codes))


@lru_cache(maxsize=256)
def _dictionary(texts: tuple[str, ...]) -> pa.Array:
    """Cached, as the same few texts are needed again and again."""
    return words(texts)


def no_rows(schema: pa.Schema) -> pa.Table:
    """A table without rows."""
    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def _around(kind: pa.DataType, numbers: I64, width: type[np.signedinteger]) -> pa.Array:
    values: NDArray[np.signedinteger] = np.ascontiguousarray(numbers, dtype=width)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _bits(values: Mask) -> NDArray[np.uint8]:
    return np.packbits(values, bitorder="little")
