"""Copies one file into a partition: as segments of the file where possible, else by record.

The fast way passes the file's bytes to COPY. A segment that COPY refuses is read again the careful
way, which finds the records that cannot be rows. Both ways give the same rows. So a file is read
fast, and carefully only around its broken records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql

from saas_analytics.contracts import Contract
from saas_analytics.landing.csv_reader import CsvReader
from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.files import BLOCK, ByteStream, Fingerprint, InputFile, fingerprint
from saas_analytics.landing.json_reader import (
    Document,
    JsonLines,
    depth,
    fault_of_escapes,
    fault_of_json,
    json_documents,
    parse,
)
from saas_analytics.landing.lines import Lines
from saas_analytics.landing.load_log import Counts, RejectBuffer
from saas_analytics.landing.projection import Row, document_rows, tabular_rows
from saas_analytics.landing.records import Reason, Reject, reject
from saas_analytics.landing.shapes import Shape
from saas_analytics.landing.tables import Cursor, begin_file, number_from, table_identifier

OnRead = Callable[[int], None]
R = TypeVar("R", bound=tuple[int, object])
B = TypeVar("B")

# A segment is the part of a file that goes into one COPY. If COPY refuses it, a smaller segment is
# tried; the smallest ones are read record by record.
SEGMENT = 4 * 1024 * 1024
SMALLEST = 64 * 1024
_STEP = 8
_BATCH = 256 * 1024  # of the documents of a JSON array
# These bytes are in no JSON text, so COPY in CSV form takes each line as one unchanged value.
_JSON_AS_CSV = sql.SQL("(format csv, delimiter e'\\x01', quote e'\\x02')")
_NEVER_IN_JSON = (b"\x01", b"\x02")
_DEEP = 500
# The server's errors about the content of a file, as opposed to its own state.
CONTENT_ERRORS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    errors.ProgramLimitExceeded,
    errors.StatementTooComplex,
)


@dataclass(frozen=True, slots=True)
class Copied:
    """The result of copying a file."""

    counts: Counts
    fingerprint: Fingerprint
    names: frozenset[str] = frozenset()  # members of JSON objects that became columns


def copy_file(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    file: InputFile,
    shape: Shape,
    rejects: RejectBuffer,
    on_read: OnRead,
) -> Copied:
    """Copy the file's records into the partition, each with its line; bad ones go to `rejects`.

    FileRefused if the file as a whole cannot be read.
    """
    begin_file(cursor, partition, file.name)
    already = rejects.count
    try:
        if file.format == "parquet":
            return _copy_parquet(cursor, contract, partition, file, shape, rejects, on_read)
        with ByteStream(file, on_read) as stream:
            names: set[str] = set()
            if file.format == "csv":
                landed = _copy_csv(
                    cursor, contract, partition, file, shape, CsvReader(stream.blocks()), rejects
                )
            elif contract.payload == "columns":
                documents = (
                    JsonLines(stream.blocks())
                    if file.format == "jsonl"
                    else json_documents(stream.blocks())
                )
                landed = _copy_objects(cursor, contract, partition, file, documents, rejects, names)
            elif file.format == "jsonl":
                landed = _copy_json_lines(
                    cursor, partition, file, JsonLines(stream.blocks()), rejects
                )
            else:
                landed = _copy_documents(
                    cursor, partition, file, json_documents(stream.blocks()), rejects
                )
            return Copied(
                Counts(landed, rejects.count - already), stream.fingerprint(), frozenset(names)
            )
    except CONTENT_ERRORS as error:
        raise FileRefused(f"{file.path}: the server refuses the content: {error}") from error


def _copy_csv(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    file: InputFile,
    shape: Shape,
    reader: CsvReader,
    rejects: RejectBuffer,
) -> int:
    if not reader.columns:  # an empty file
        return 0

    def carefully(records: Iterable[tuple[int, list[str | None]] | Reject]) -> int:
        return _copy_tabular(cursor, contract, partition, file, reader.columns, records, rejects)

    if contract.payload == "document" or shape.unknown(contract):
        return carefully(reader)
    statement = _copy_statement(partition, reader.columns, sql.SQL("(format csv)"))
    return _copy_segments(cursor, reader, statement, carefully)


def _copy_json_lines(
    cursor: Cursor, partition: str, file: InputFile, reader: JsonLines, rejects: RejectBuffer
) -> int:
    def carefully(documents: Iterable[Document | Reject]) -> int:
        return _copy_judged(cursor, partition, file, documents, rejects)

    return _copy_segments(
        cursor, reader, _copy_statement(partition, ("_doc",), _JSON_AS_CSV), carefully
    )


def _copy_segments(
    cursor: Cursor,
    reader: CsvReader | JsonLines,
    statement: sql.Composed,
    carefully: Callable[[Iterator[Any]], int],
) -> int:
    """Copy the reader's text segment by segment.

    `carefully` copies the records of the segments that COPY refuses.
    """
    lines = reader.lines
    records: Iterator[Any] = iter(reader)
    size, landed, suspect = SEGMENT, 0, 0
    numbered_to = -1  # the line after which the server numbers by itself
    while lines:
        text = lines.segment(size)
        if numbered_to != reader.line:
            number_from(cursor, reader.line + 1)
        rows = None
        if (
            text
            and lines.are_uniform(text)
            and not (isinstance(reader, JsonLines) and _may_split(text))
        ):
            # Read the next segment while the server works.
            ahead = len(text) + SEGMENT + 1
            rows = copy_fast(cursor, statement, text, partial(lines.read_ahead, ahead))
        if rows is not None:
            lines.skip(len(text))
            reader.line += rows
            landed += rows
            numbered_to = reader.line
        elif len(text) > SMALLEST:
            suspect = lines.taken + len(text)
            size = max(size // _STEP, SMALLEST)
            numbered_to = -1
            continue
        else:
            # Without text the next record is longer than the segment, or has a quote that does
            # not close in it.
            landed += carefully(_records_until(records, lines, lines.taken + max(len(text), 1)))
            numbered_to = -1
        if lines.taken >= suspect:
            size = min(size * _STEP, SEGMENT)
    return landed


def _records_until(records: Iterator[Any], lines: Lines, end: int) -> Iterator[Any]:
    """The records that begin before this byte of the file."""
    for record in records:
        yield record
        if lines.taken >= end:
            return


def copy_fast(
    cursor: Cursor, statement: sql.Composed, text: bytes, meanwhile: Callable[[], None]
) -> int | None:
    """Pass the text to COPY, and call `meanwhile` while the server works.

    Returns the number of rows, or None if COPY refuses the text.
    """
    try:
        with cursor.connection.transaction():
            with cursor.copy(statement) as copy:
                for start in range(0, len(text), BLOCK):
                    copy.write(text[start : start + BLOCK])
                meanwhile()
            return cursor.rowcount
    except CONTENT_ERRORS:
        return None


def _copy_documents(
    cursor: Cursor,
    partition: str,
    file: InputFile,
    documents: Iterable[Document | Reject],
    rejects: RejectBuffer,
) -> int:
    """Copy the documents of a JSON array, in batches."""
    statement = _copy_statement(partition, ("_doc", "_line"), _JSON_AS_CSV)

    def fast(some: list[Document], meanwhile: Callable[[], None]) -> int | None:
        if any(_may_split(raw) for _, raw in some):
            return None
        text = b"".join([b"%b\x01%d\n" % (raw, line) for line, raw in some])
        return copy_fast(cursor, statement, text, meanwhile)

    def carefully(some: list[Document]) -> int:
        return _copy_judged(cursor, partition, file, some, rejects)

    return _copy_batches(_batches(_kept(documents, file, rejects)), fast, carefully)


def _copy_parquet(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    file: InputFile,
    shape: Shape,
    rejects: RejectBuffer,
    on_read: OnRead,
) -> Copied:
    from saas_analytics.landing.parquet_reader import ParquetBatch, ParquetReader

    before, already = fingerprint(file), rejects.count
    has_fast_way = contract.payload == "columns" and not shape.unknown(contract)

    def fast(batch: ParquetBatch, meanwhile: Callable[[], None]) -> int | None:
        if not has_fast_way:
            return None
        number_from(cursor, batch.first_line)
        return copy_fast(cursor, statement, batch.as_csv(), meanwhile)

    def carefully(batch: ParquetBatch) -> int:
        return _copy_tabular(
            cursor, contract, partition, file, parquet.columns, batch.records(), rejects
        )

    with ParquetReader(file) as parquet:
        statement = _copy_statement(partition, parquet.columns, sql.SQL("(format csv)"))
        landed = _copy_batches(parquet.batches(), fast, carefully)
    on_read(file.size)
    return Copied(Counts(landed, rejects.count - already), before)


def _copy_batches(
    batches: Iterator[B],
    fast: Callable[[B, Callable[[], None]], int | None],
    carefully: Callable[[B], int],
) -> int:
    """Copy each batch, fast or else carefully; the next one is made while the server works."""
    landed = 0
    waiting: deque[B] = deque(islice(batches, 1))
    while waiting:
        batch = waiting.popleft()
        rows = fast(batch, lambda: waiting.extend(islice(batches, 1)))
        landed += carefully(batch) if rows is None else rows
        if not waiting:
            waiting.extend(islice(batches, 1))
    return landed


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document[1])
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _may_split(text: bytes) -> bool:
    """Whether COPY could see more than one value in a line."""
    return any(mark in text for mark in _NEVER_IN_JSON)


def _copy_tabular(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    file: InputFile,
    columns: Sequence[str],
    records: Iterable[tuple[int, list[str | None]] | Reject],
    rejects: RejectBuffer,
) -> int:
    filled, make = tabular_rows(contract, columns)
    rows: Iterator[Row] = (
        (*make(record[1]), record[0]) for record in _kept(records, file, rejects)
    )
    return copy_rows(cursor, partition, (*filled, "_line"), rows)


def _copy_objects(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    file: InputFile,
    documents: Iterable[tuple[int, bytes] | Reject],
    rejects: RejectBuffer,
    names: set[str],
) -> int:
    filled, make = document_rows(contract)

    def rows() -> Iterator[Row]:
        for line, raw in _kept(documents, file, rejects):
            try:
                document = parse(raw)
                fault: Reason | None = None if isinstance(document, dict) else "not_an_object"
                row = make(document) if fault is None else ()
                fault = fault or fault_of_escapes(raw, document)
            except ValueError:
                fault = "broken_json"
            if fault:
                rejects.add(file.name, reject(line, fault, raw))
            else:
                names.update(document)
                yield (*row, line)

    return copy_rows(cursor, partition, (*filled, "_line"), rows())


def _copy_judged(
    cursor: Cursor,
    partition: str,
    file: InputFile,
    documents: Iterable[tuple[int, bytes] | Reject],
    rejects: RejectBuffer,
) -> int:
    """Ask the server whether each document is JSON, so that both ways agree."""
    cursor.execute(
        "create temporary table if not exists landing_documents (line bigint, doc text)"
        " on commit drop"
    )
    cursor.execute("truncate landing_documents")
    deep: list[tuple[int, bytes]] = []

    def rows() -> Iterator[Row]:
        for line, raw in _kept(documents, file, rejects):
            if depth(raw) > _DEEP:
                deep.append((line, raw))  # its depth may be an error of the server, not a result
            else:
                yield line, raw.decode("utf-8")

    with cursor.copy("copy landing_documents (line, doc) from stdin") as copy:
        for row in rows():
            copy.write_row(row)
    cursor.execute(
        sql.SQL(
            "insert into {} (_doc, _line)"
            " select cast(doc as jsonb), line from landing_documents where {}"
        ).format(table_identifier(partition), _IS_OBJECT)
    )
    landed = cursor.rowcount
    with cursor.connection.cursor("landing_rejects") as bad:
        bad.execute(
            sql.SQL(
                "select line, doc, pg_input_is_valid(doc, 'jsonb') from landing_documents"
                " where not {} order by line"
            ).format(_IS_OBJECT)
        )
        for line, text, is_json in bad:
            fault: Reason = "not_an_object" if is_json else fault_of_json(text.encode())
            rejects.add(file.name, reject(line, fault, text.encode()))
    insert = sql.SQL("insert into {} (_doc, _line) values (cast(%s as jsonb), %s)").format(
        table_identifier(partition)
    )
    for line, raw in deep:
        try:
            with cursor.connection.transaction():
                cursor.execute(insert, [raw.decode("utf-8"), line])
            landed += 1
        except CONTENT_ERRORS:
            rejects.add(file.name, reject(line, fault_of_json(raw), raw))
    return landed


_IS_OBJECT = sql.SQL(
    "case when pg_input_is_valid(doc, 'jsonb')"
    " then jsonb_typeof(cast(doc as jsonb)) = 'object' else false end"
)


def copy_rows(cursor: Cursor, table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """COPY rows into these columns of a raw table. Returns their number."""
    with cursor.copy(_copy_statement(table, columns, sql.SQL(""))) as copy:
        for row in rows:
            copy.write_row(row)
    return cursor.rowcount


def _copy_statement(table: str, columns: Sequence[str], options: sql.SQL) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    return sql.SQL("copy {} ({}) from stdin {}").format(table_identifier(table), names, options)


def _kept(records: Iterable[R | Reject], file: InputFile, rejects: RejectBuffer) -> Iterator[R]:
    for record in records:
        if isinstance(record, Reject):
            rejects.add(file.name, record)
        else:
            yield record
