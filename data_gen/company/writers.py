"""Writes the rows of one source and day in the format of its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_gen.company import text
from data_gen.company.columns import INSTANT, constant, numbers, words
from data_gen.company.schemas import Source
from saas_analytics.sources.files import AtomicFile, Written

ROW_GROUP = 1 << 16
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TO_THE_END = (1 << 31) - 1


class SourceWriter:
    """Writes one source's rows of one day in its format. Without rows the file is valid and empty.

    `mark`: the file begins with a byte order mark. `line_end`: of its lines. `empty`: it has no
    bytes.
    """

    def __init__(
        self,
        source: Source,
        path: Path,
        *,
        mark: bool = False,
        line_end: bytes = b"\n",
        empty: bool = False,
    ) -> None:
        self.source = source
        self.rows = 0
        self._empty = empty
        self._line_end = line_end
        self._file = AtomicFile(path)
        self._waiting: list[pa.Table] = []  # rows for the next row group of a Parquet file
        self._parquet: pq.ParquetWriter | None = None
        if mark:
            self._file.write(BYTE_ORDER_MARK)
        if source.format == "csv" and not empty:
            self._file.write(",".join(source.schema.names).encode() + line_end)
        elif source.format == "parquet":
            # Dictionaries and statistics depend on the row groups only, whose rows are always the
            # same.
            self._parquet = pq.ParquetWriter(
                self._file,
                source.schema,
                compression="zstd",
                compression_level=1,
                store_schema=False,
            )

    def add_lines(self, lines: pa.Array) -> None:
        """Add rows that are text already: lines with their ends, or documents of a JSON array."""
        if not len(lines):
            return
        if self.source.format == "json":
            self._file.write(b",\n" if self.rows else b"[\n")
            lines = text.join([lines, words([",\n"] * (len(lines) - 1) + [""])])
        elif self._line_end != b"\n":
            # The last byte of each is its line end. Some rows are not UTF-8, so this uses bytes.
            lines = pc.binary_replace_slice(
                lines.cast(pa.binary()), -1, _TO_THE_END, self._line_end
            )
        self.rows += len(lines)
        self._file.write(text.contents(lines))

    def add_text(self, pieces: Iterable[memoryview], rows: int) -> None:
        """Add lines with their ends, in any pieces."""
        self.rows += rows
        for piece in pieces:
            self._file.write(piece)

    def add_broken(self, line: bytes) -> None:
        """Add a last line that breaks off."""
        self.rows += 1
        self._file.write(line)

    def add(self, rows: pa.Table) -> None:
        if self._parquet is None:
            self.add_lines(lines_of(self.source, rows))
            return
        self.rows += len(rows)
        self._waiting.append(rows)
        while sum(map(len, self._waiting)) >= ROW_GROUP:
            self._write_group(ROW_GROUP)

    def complete(self) -> Written:
        """Write the end of the file, which keeps its temporary name."""
        if self._parquet is not None:
            self._write_group(ROW_GROUP)
            self._parquet.close()
        elif self.source.format == "json" and not self._empty:
            self._file.write(b"\n]\n" if self.rows else b"[]\n")
        size, digest = self._file.complete()
        return Written(self.source.name, self._file.path, self.rows, size, digest)

    def publish(self) -> None:
        self._file.publish()

    def discard(self) -> None:
        if self._parquet is not None:
            with suppress(OSError, ValueError):  # a full disk, or the file is closed already
                self._parquet.close()
        self._file.discard()

    def _write_group(self, rows: int) -> None:
        if not self._waiting:
            return
        waiting = pa.concat_tables(self._waiting)
        group, rest = waiting.slice(0, rows), waiting.slice(rows)
        assert self._parquet is not None
        self._parquet.write_table(group.combine_chunks(), row_group_size=ROW_GROUP)
        self._waiting = [rest] if len(rest) else []


# -- rows as text ------------------------------------------------------------------------------


def lines_of(source: Source, rows: pa.Table) -> pa.Array:
    """The rows as text: lines with their ends, or documents of a JSON array without them."""
    if source.format == "csv":
        return csv_lines(rows)
    documents = json_documents(rows, source.json)
    return documents if source.format == "json" else text.join([documents, "\n"])


def csv_lines(rows: pa.Table) -> pa.Array:
    """One line of CSV per row, quoted only where needed. A null is empty."""
    cells = [
        pc.fill_null(_csv_cell(plain(column)), constant(""))
        for column in rows.combine_chunks().columns
    ]
    return text.join([text.join([_flat(cell) for cell in cells], ","), "\n"])


def json_documents(rows: pa.Table, documents: Sequence[str] = ()) -> pa.Array:
    """One JSON object per row. Money is a number with all its digits.

    `documents`: columns whose text is JSON.
    """
    pieces: list[pa.Array | str] = []
    for number, (name, column) in enumerate(
        zip(rows.schema.names, rows.combine_chunks().columns, strict=True)
    ):
        value = plain(column)
        if (pa.types.is_string(column.type) and name not in documents) or pa.types.is_temporal(
            column.type
        ):
            value = text.join(['"', _flat(value), '"'])
        pieces += [
            f'{"," if number else "{"}"{name}":',
            _flat(pc.fill_null(value, constant("null"))),
        ]
    return text.join([*pieces, "}"])


def plain(column: pa.ChunkedArray) -> pa.Array:
    """A column as text without quotes. Nulls stay."""
    values = _flat(column)
    if values.type == INSTANT:
        written = text.instants(numbers(values) // 1000)
        return (
            pc.if_else(values.is_valid(), written, constant(None)) if values.null_count else written
        )
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _csv_cell(values: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(values, '[",\r\n]')
    if not pc.any(special).as_py():
        return values
    return pc.if_else(
        special, text.join(['"', pc.replace_substring(values, '"', '""'), '"']), values
    )


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
