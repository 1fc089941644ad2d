"""The list of a day's defects, part of the ground truth.

It is kept by source while the day is made and written as one file at its end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_gen.company import text
from data_gen.company.columns import days, numbers, pick, whole, words_or_null
from data_gen.company.hashing import I64
from data_gen.company.schemas import Source

_TEXT = pa.string()
DEFECTS = Source(
    "defects",
    "parquet",
    pa.schema(
        [
            ("defect_id", _TEXT),
            ("source", _TEXT),
            ("file", _TEXT),  # in the landing zone
            ("line", pa.int64()),  # of the record, as landing counts; null: the whole file
            ("natural_key", _TEXT),
            ("event_day", pa.date32()),
            ("landing_day", pa.date32()),
            ("column", _TEXT),
            ("type", _TEXT),
            ("original", _TEXT),
            ("corrupted", _TEXT),
            ("disposition", _TEXT),
        ]
    ),
    key=("defect_id", "column"),
    required=("defect_id",),
)
# One for each row, or the same for all.
Texts: TypeAlias = pa.Array | Sequence[str | None] | str | None
_IN_MEMORY = 1 << 15
# Made from a numpy array: for a Python number, pyarrow would import pandas.
_BEFORE_ALL_LINES = whole(np.zeros(1, dtype=np.int64))[0]


class DefectList:
    """The defects of one source and day, those of the file first. Long lists go to disk."""

    def __init__(self, source: str, file: str, landing_day: int) -> None:
        self._source, self._file, self._day = source, file, landing_day
        self._unordered: list[pa.RecordBatch] = []  # of the rows that are being written
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._spool: BinaryIO | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(
        self,
        line: I64,
        natural_key: Texts,
        event_day: I64,
        kind: Texts,
        disposition: Texts,
        column: Texts = None,
        original: Texts = None,
        corrupted: Texts = None,
    ) -> None:
        """Add defects of rows."""
        if not len(line):
            return
        number = whole(line)
        identifier = text.join(
            [f"{self._source}-{np.datetime64(self._day, 'D')}-", number.cast(_TEXT)]
        )
        self._append(
            len(line),
            identifier,
            number,
            natural_key,
            event_day,
            kind,
            disposition,
            column,
            original,
            corrupted,
        )

    def add_file(
        self,
        kind: str,
        disposition: str,
        column: str | None,
        original: str | None,
        corrupted: str | None,
        key: Texts = None,
    ) -> None:
        """Add a defect of the file as a whole."""
        identifier = f"{self._source}-{np.datetime64(self._day, 'D')}-{kind}"
        none = pa.nulls(1, pa.int64())
        self._append(
            1,
            identifier,
            none,
            key,
            np.array([self._day]),
            kind,
            disposition,
            column,
            original,
            corrupted,
        )

    def _append(
        self, rows: int, identifier: Texts, line: pa.Array, key: Texts, event_day: I64, *rest: Texts
    ) -> None:
        kind, disposition, column, original, corrupted = (_column(values, rows) for values in rest)
        columns = [
            _column(identifier, rows),
            _column(self._source, rows),
            _column(self._file, rows),
            line,
            _column(key, rows),
            days(event_day),
            days(np.full(rows, self._day)),
            column,
            kind,
            original,
            corrupted,
            disposition,
        ]
        self._unordered.append(pa.RecordBatch.from_arrays(columns, schema=DEFECTS.schema))

    def in_order(self) -> None:
        """Sort the defects added since the last call by line. Later calls add later lines."""
        if not self._unordered:
            return
        added = pa.Table.from_batches(self._unordered)
        lines = numbers(pc.fill_null(added["line"].combine_chunks(), _BEFORE_ALL_LINES))
        self._waiting.append(added.take(whole(np.argsort(lines, kind="stable"))))
        self._unordered = []
        self._rows += len(added)
        if self._rows >= _IN_MEMORY:
            self._to_disk()

    def _to_disk(self) -> None:
        if self._writer is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
            self._writer = pa.ipc.new_stream(self._spool, DEFECTS.schema)
        for part in self._waiting:
            self._writer.write_table(part)
        self._waiting, self._rows = [], 0

    def tables(self) -> Iterator[pa.Table]:
        """All defects, in order. Nothing can be added afterwards."""
        self.in_order()
        if self._writer is not None and self._spool is not None:
            self._writer.close()
            self._spool.seek(0)
            for batch in pa.ipc.open_stream(self._spool):
                yield pa.Table.from_batches([batch])
        yield from self._waiting

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _column(values: Texts, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, _TEXT)
    if isinstance(values, str):
        return pick([values], np.zeros(rows, dtype=np.int64))
    return values if isinstance(values, pa.Array) else words_or_null(values)
