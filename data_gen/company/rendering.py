"""Corrupted rows: the bytes of their lines, and their place among the clean ones."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa

from data_gen.company import text
from data_gen.company.corruption import NO_UTF8, NUL, Values
from data_gen.company.hashing import I64
from data_gen.company.schemas import Source

_NUL, _NO_UTF8 = NUL.encode(), NO_UTF8.encode()
_encoded = json.JSONEncoder(ensure_ascii=False).encode


def shown(value: str | None) -> str | None:
    """A value as the ground truth has it. Invalid bytes are escaped as in landing's rejects."""
    return value.replace(NUL, "\\x00").replace(NO_UTF8, "\\xff\\xfe") if value else value


def line_of(source: Source, values: Values, quoted: frozenset[str]) -> bytes:
    """One row with its line end and its invalid bytes. `quoted`: `quoted_columns` of the source."""
    if source.format == "csv":
        line = ",".join(map(_csv, values.values()))
    else:
        cells = (
            f'"{name}":'
            + ("null" if value is None else _encoded(value) if name in quoted else value)
            for name, value in values.items()
        )
        line = "{" + ",".join(cells) + "}"
    end = "" if source.format == "json" else "\n"
    return (line + end).encode().replace(_NUL, b"\x00").replace(_NO_UTF8, b"\xff\xfe")


def _csv(value: str | None) -> str:
    if value is None:
        return ""
    return '"' + value.replace('"', '""') + '"' if any(c in value for c in '",\r\n') else value


def quoted_columns(source: Source) -> frozenset[str]:
    """The columns whose values are texts in JSON."""
    fields = [
        field
        for field in source.schema
        if pa.types.is_string(field.type) or pa.types.is_temporal(field.type)
    ]
    return frozenset(field.name for field in fields) - set(source.json)


def spliced(
    clean: pa.Array, changed: pa.Array, affected: I64, start: I64, times: I64, order: I64
) -> Iterator[memoryview]:
    """The lines in `order`: numbers of clean lines, then of changed ones.

    Lines between the `affected` clean lines come in one piece. `start`, `times`: the place of each
    clean line in `order`, and the number of lines there.
    """
    lines, ends = text.contents(clean), text.offsets(clean)
    others, other_ends = text.contents(changed), text.offsets(changed).tolist()
    done = 0
    for row, begin, end in zip(
        affected.tolist(), ends[affected].tolist(), ends[affected + 1].tolist(), strict=True
    ):
        yield lines[done:begin]
        for one in order[start[row] : start[row] + times[row]].tolist():
            n = one - len(clean)
            yield lines[begin:end] if n < 0 else others[other_ends[n] : other_ends[n + 1]]
        done = end
    yield lines[done:]


def together(clean: pa.Array | pa.Table, more: pa.Array | pa.Table) -> pa.Array | pa.Table:
    if isinstance(clean, pa.Table):
        return pa.concat_tables([clean, more])
    return pa.concat_arrays([clean, more]) if len(more) else clean
