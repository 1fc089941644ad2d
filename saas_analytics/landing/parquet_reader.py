"""Reads Parquet in batches, as text: blocks of CSV for COPY, or row by row."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import orjson

# Arrow's own allocator takes 15 MB more than the C library's. Arrow reads this variable when it is
# loaded; pa.set_memory_pool() later would leave the Parquet reader with its own allocator.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from saas_analytics.landing.csv_reader import Values, header_names
from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.files import BLOCK, InputFile
from saas_analytics.landing.records import Reject, reject, text_fault

_BATCH_ROWS = 2_048
_BUFFER = 64 * 1024  # bytes, of each column
# Bytes. The columns of a larger row group are decoded one after the other into temporary files, and
# the rows are assembled from there: a column that is being decoded has a page and a dictionary in
# memory, which are megabytes.
_DECODED_AT_ONCE = 8 * 1024 * 1024
_CSV = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")


@dataclass(frozen=True, slots=True)
class ParquetBatch:
    """Some rows as text. `first_line` is the line of the first one."""

    first_line: int
    texts: pa.RecordBatch

    def as_csv(self) -> bytes:
        """The rows as CSV without a header. NULL is an empty field, an empty text is "" ."""
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(self.texts, buffer, _CSV)
        return buffer.getvalue()

    def records(self) -> Iterator[tuple[int, Values] | Reject]:
        """The rows one by one, each with its line."""
        columns = [column.cast(pa.binary()).to_pylist() for column in self.texts.columns]
        for line, cells in enumerate(zip(*columns, strict=True), start=self.first_line):
            faults = [fault for cell in cells if cell is not None and (fault := text_fault(cell))]
            if faults:
                yield reject(line, faults[0], b",".join(cell or b"" for cell in cells))
            else:
                yield line, [None if cell is None else cell.decode("utf-8") for cell in cells]


class ParquetReader:
    """The rows of a Parquet file as text. The line is the row number, from 1.

    `columns` are its column names. FileRefused if it cannot be read.
    """

    def __init__(self, file: InputFile) -> None:
        self._path = file.path
        self._source: IO[bytes] = (
            _decompressed(file.path) if file.compressed else file.path.open("rb")
        )
        try:
            # Through a buffer, without reading ahead: that would load a whole row group.
            self._parquet = pyarrow.parquet.ParquetFile(
                self._source, buffer_size=_BUFFER, pre_buffer=False
            )
        except (pa.ArrowException, OSError) as error:
            self._source.close()
            raise FileRefused(
                f"{file.path}: not a Parquet file, or a damaged one ({_first_line(error)})."
            ) from error
        self.columns = header_names(self._parquet.schema_arrow.names)

    def batches(self) -> Iterator[ParquetBatch]:
        """The rows, some at a time."""
        line = 1
        metadata = self._parquet.metadata
        names: list[str] = self._parquet.schema_arrow.names
        by_name = len(set(names)) == len(names)  # columns without a name can be more than one
        for number in range(metadata.num_row_groups):
            is_large = by_name and metadata.row_group(number).total_byte_size > _DECODED_AT_ONCE
            for texts in self._by_column(number, names) if is_large else self._decoded(number):
                batch = pa.RecordBatch.from_arrays(texts, list(self.columns))
                yield ParquetBatch(line, batch)
                line += len(batch)

    def _decoded(self, row_group: int, name: str | None = None) -> Iterator[list[pa.Array]]:
        """The texts of a row group's columns, or of one of them, some rows at a time."""
        columns = None if name is None else [name]
        try:
            for batch in self._parquet.iter_batches(
                _BATCH_ROWS, [row_group], columns, use_threads=False
            ):
                yield [_as_text(column) for column in batch.columns]
        except (pa.ArrowException, OSError) as error:
            raise FileRefused(
                f"{self._path}: the Parquet file is damaged ({_first_line(error)})."
            ) from error

    def _by_column(self, row_group: int, names: list[str]) -> Iterator[list[pa.Array]]:
        """The texts of all columns of a row group, each decoded by itself."""
        with ExitStack() as stack:
            spools = []
            for name in names:
                spool = stack.enter_context(tempfile.TemporaryFile(prefix="landing-"))
                with pa.ipc.new_stream(spool, pa.schema([("text", pa.string())])) as writer:
                    for texts in self._decoded(row_group, name):
                        writer.write_batch(pa.RecordBatch.from_arrays(texts, ["text"]))
                # Otherwise the memory of one column's pages stays next to that of the next one's.
                pa.default_memory_pool().release_unused()
                spool.seek(0)
                spools.append(stack.enter_context(pa.ipc.open_stream(spool)))
            for batches in zip(*spools, strict=True):
                yield [batch.column(0) for batch in batches]

    def __iter__(self) -> Iterator[tuple[int, Values] | Reject]:
        for batch in self.batches():
            yield from batch.records()

    def __enter__(self) -> ParquetReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._parquet.close()
        self._source.close()


def _as_text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_dictionary(kind):
        return _as_text(column.dictionary_decode())
    if isinstance(kind, pa.UuidType):
        return _texts(column, str)
    if isinstance(kind, pa.BaseExtensionType):
        return _as_text(column.storage)
    if _is_bytes(kind):
        # Not checked here: the server checks it, or the careful way, and a bad byte rejects a row.
        column = column if pa.types.is_binary(kind) else column.cast(pa.binary())
        return pa.Array.from_buffers(
            pa.string(), len(column), column.buffers(), offset=column.offset
        )
    if pa.types.is_nested(kind):
        return _texts(column, _as_json)
    text = column.cast(pa.string())
    # Arrow writes decimals near 0 with an exponent: 0E-18.
    if pa.types.is_decimal(kind) and any("E" in one for one in text.to_pylist() if one):
        return _texts(column, _plain)
    return text


def _is_bytes(kind: pa.DataType) -> bool:
    """Whether it is binary, or text that is not stored as a string array. It may be bad UTF-8."""
    types = pa.types
    return any(
        is_it(kind)
        for is_it in (
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
            types.is_fixed_size_binary,
            types.is_large_string,
            types.is_string_view,
        )
    )


def _texts(column: pa.Array, as_text: Callable[[Any], str]) -> pa.Array:
    try:
        values = column.to_pylist(maps_as_pydicts="strict")
    except KeyError:  # a map has a key twice: its pairs, so that none is lost
        values = column.to_pylist()
    texts = [None if value is None else as_text(value) for value in values]
    return pa.array(texts, pa.string())


def _as_json(value: Any) -> str:
    return orjson.dumps(value, default=_json_value, option=orjson.OPT_NON_STR_KEYS).decode()


def _json_value(value: Any) -> Any:
    """A value that JSON does not have: a decimal as a number with all digits, others as text."""
    if isinstance(value, Decimal):
        return orjson.Fragment(_plain(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _plain(value: Decimal) -> str:
    return format(value, "f")


def _decompressed(path: Path) -> IO[bytes]:
    """Unpack a compressed file into a temporary one, because Parquet is read from its end."""
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the reader closes it
    try:
        with gzip.open(path) as packed:
            shutil.copyfileobj(packed, unpacked, BLOCK)
    except (EOFError, OSError) as error:
        unpacked.close()
        raise FileRefused(
            f"{path}: the gzip stream is damaged ({error}). Deliver the file again."
        ) from error
    unpacked.seek(0)
    return unpacked


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
