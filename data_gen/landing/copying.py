"""Copies one file into a partition: as blocks of the file where the format allows, else record by record.

The fast way hands the file's bytes to COPY. What COPY refuses is read again the careful way, which finds the records
that cannot be rows. Both give the same rows for a file that COPY takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from data_gen.landing.contracts import Contract
from data_gen.landing.csv_reader import CsvReader
from data_gen.landing.files import ByteStream, Fingerprint, InputFile, fingerprint
from data_gen.landing.json_reader import depth, fault_of_escapes, fault_of_json, json_documents, json_lines, parse
from data_gen.landing.ledger import Counts, RejectBook
from data_gen.landing.projection import Row, document_rows, tabular_rows
from data_gen.landing.records import MAX_RECORD, Reason, Reject, reject
from data_gen.landing.shapes import Shape
from data_gen.landing.tables import Cursor, begin_file, table_identifier

OnRead = Callable[[int], None]

# Bytes that no JSON text holds, so that COPY in CSV form takes a line as one value, as it is.
_JSON_AS_CSV = sql.SQL("(format csv, delimiter e'\\x01', quote e'\\x02')")
_NEVER_IN_JSON = (b"\x01", b"\x02")
_DEEP = 500
# What the server answers when the content of a file is at fault, and not the server.
CONTENT_ERRORS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    errors.ProgramLimitExceeded,
    errors.StatementTooComplex,
)


class CopyRefused(Exception):
    """The fast way cannot take this file; the careful way can say why."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a file."""

    counts: Counts
    fingerprint: Fingerprint
    names: frozenset[str] = frozenset()  # members of JSON objects that became columns


def copy_fast(
    cursor: Cursor, contract: Contract, partition: str, file: InputFile, shape: Shape, on_read: OnRead
) -> Copied:
    """Hand the file to COPY. CopyRefused where that is not possible for this file or the server does not take it."""
    try:
        if contract.payload == "columns" and not shape.unknown(contract):
            if file.format == "csv" and shape.starts_with_header:
                return _copy_csv(cursor, partition, file, shape.columns or (), on_read)
            if file.format == "parquet":
                return _copy_parquet(cursor, partition, file, shape.columns or (), on_read)
        if contract.payload == "document" and file.format in ("jsonl", "json"):
            return _copy_documents(cursor, partition, file, on_read)
    except CONTENT_ERRORS as error:
        raise CopyRefused(str(error)) from error
    raise CopyRefused("no fast way for this format")


def _copy_csv(cursor: Cursor, partition: str, file: InputFile, columns: Sequence[str], on_read: OnRead) -> Copied:
    begin_file(cursor, partition, file.name, first_line=2)
    with ByteStream(file, on_read) as stream:
        if not columns:  # an empty file
            return Copied(Counts(), _drained(stream))
        statement = _copy_statement(partition, columns, sql.SQL("(format csv, header true)"))
        with cursor.copy(statement) as copy:
            for block in _checked_lines(stream.blocks()):
                copy.write(block)
        return Copied(Counts(landed=cursor.rowcount), stream.fingerprint())


def _copy_parquet(cursor: Cursor, partition: str, file: InputFile, columns: Sequence[str], on_read: OnRead) -> Copied:
    from data_gen.landing.parquet_reader import ParquetReader

    begin_file(cursor, partition, file.name, first_line=1)
    before = fingerprint(file)
    with ParquetReader(file) as reader:
        with cursor.copy(_copy_statement(partition, columns, sql.SQL("(format csv)"))) as copy:
            for block in reader.csv_blocks(columns):
                copy.write(block)
        on_read(file.size)
        return Copied(Counts(landed=cursor.rowcount), before)


def _copy_documents(cursor: Cursor, partition: str, file: InputFile, on_read: OnRead) -> Copied:
    begin_file(cursor, partition, file.name, first_line=1)
    with ByteStream(file, on_read) as stream:
        blocks = (
            _checked_lines(stream.blocks())
            if file.format == "jsonl"
            else _document_blocks(json_documents(stream.blocks()))
        )
        with cursor.copy(_copy_statement(partition, ("_doc",), _JSON_AS_CSV)) as copy:
            for block in blocks:
                if any(mark in block for mark in _NEVER_IN_JSON):
                    raise CopyRefused("control characters")
                copy.write(block)
        return Copied(Counts(landed=cursor.rowcount), stream.fingerprint())


def _checked_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks, as long as no line is longer than a record may be: the careful way rejects it, and so must this."""
    length = 0
    for block in blocks:
        first = block.find(b"\n")
        length += first if first >= 0 else len(block)
        if length > MAX_RECORD:
            raise CopyRefused("a line that is too long")
        if first >= 0:
            length = len(block) - block.rfind(b"\n") - 1
        yield block


def _document_blocks(documents: Iterable[tuple[int, bytes] | Reject]) -> Iterator[bytes]:
    lines: list[bytes] = []
    for document in documents:
        if isinstance(document, Reject):
            raise CopyRefused(document.reason)
        lines.append(document[1] + b"\n")
        if len(lines) == 500:
            yield b"".join(lines)
            lines = []
    yield b"".join(lines)


def copy_careful(
    cursor: Cursor, contract: Contract, partition: str, file: InputFile, rejects: RejectBook, on_read: OnRead
) -> Copied:
    """Read the file record by record: what can be a row lands with its line, the rest goes to `rejects`."""
    begin_file(cursor, partition, file.name, first_line=1)
    already = rejects.count
    names: set[str] = set()
    if file.format == "parquet":
        from data_gen.landing.parquet_reader import ParquetReader

        before = fingerprint(file)
        with ParquetReader(file) as parquet:
            landed = _copy_tabular(cursor, contract, partition, file, parquet.columns, parquet, rejects)
        on_read(file.size)
        return Copied(Counts(landed, rejects.count - already), before)
    with ByteStream(file, on_read) as stream:
        if file.format == "csv":
            reader = CsvReader(stream.blocks())
            landed = _copy_tabular(cursor, contract, partition, file, reader.columns, reader, rejects)
        else:
            read = json_lines if file.format == "jsonl" else json_documents
            documents = read(stream.blocks())
            if contract.payload == "document":
                landed = _copy_judged(cursor, partition, file, documents, rejects)
            else:
                landed = _copy_objects(cursor, contract, partition, file, documents, rejects, names)
        return Copied(Counts(landed, rejects.count - already), stream.fingerprint(), frozenset(names))


def _copy_tabular(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    file: InputFile,
    columns: Sequence[str],
    records: Iterable[tuple[int, list[str | None]] | Reject],
    rejects: RejectBook,
) -> int:
    filled, make = tabular_rows(contract, columns)
    rows: Iterator[Row] = ((*make(record[1]), record[0]) for record in _kept(records, file, rejects))
    return copy_rows(cursor, partition, (*filled, "_line"), rows)


def _copy_objects(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    file: InputFile,
    documents: Iterable[tuple[int, bytes] | Reject],
    rejects: RejectBook,
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
    rejects: RejectBook,
) -> int:
    """Let the server say of each document whether it is JSON: the same judge as in the fast way."""
    cursor.execute("create temporary table if not exists landing_documents (line bigint, doc text) on commit drop")
    cursor.execute("truncate landing_documents")
    deep: list[tuple[int, bytes]] = []

    def rows() -> Iterator[Row]:
        for line, raw in _kept(documents, file, rejects):
            if depth(raw) > _DEEP:
                deep.append((line, raw))  # the server may refuse it for its depth, and not softly
            else:
                yield line, raw.decode("utf-8")

    with cursor.copy("copy landing_documents (line, doc) from stdin") as copy:
        for row in rows():
            copy.write_row(row)
    cursor.execute(
        sql.SQL("insert into {} (_doc, _line) select cast(doc as jsonb), line from landing_documents where {}").format(
            table_identifier(partition), _IS_OBJECT
        )
    )
    landed = cursor.rowcount
    with cursor.connection.cursor("landing_rejects") as bad:
        bad.execute(
            sql.SQL(
                "select line, doc, pg_input_is_valid(doc, 'jsonb') from landing_documents where not {} order by line"
            ).format(_IS_OBJECT)
        )
        for line, text, is_json in bad:
            fault: Reason = "not_an_object" if is_json else fault_of_json(text.encode())
            rejects.add(file.name, reject(line, fault, text.encode()))
    insert = sql.SQL("insert into {} (_doc, _line) values (cast(%s as jsonb), %s)").format(table_identifier(partition))
    for line, raw in deep:
        try:
            with cursor.connection.transaction():
                cursor.execute(insert, [raw.decode("utf-8"), line])
            landed += 1
        except CONTENT_ERRORS:
            rejects.add(file.name, reject(line, fault_of_json(raw), raw))
    return landed


_IS_OBJECT = sql.SQL(
    "case when pg_input_is_valid(doc, 'jsonb') then jsonb_typeof(cast(doc as jsonb)) = 'object' else false end"
)


def copy_rows(cursor: Cursor, table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """COPY rows into these columns of a raw table; how many there were."""
    with cursor.copy(_copy_statement(table, columns, sql.SQL(""))) as copy:
        for row in rows:
            copy.write_row(row)
    return cursor.rowcount


def _copy_statement(table: str, columns: Sequence[str], options: sql.SQL) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    return sql.SQL("copy {} ({}) from stdin {}").format(table_identifier(table), names, options)


R = TypeVar("R", bound=tuple[int, object])


def _kept(records: Iterable[R | Reject], file: InputFile, rejects: RejectBook) -> Iterator[R]:
    for record in records:
        if isinstance(record, Reject):
            rejects.add(file.name, record)
        else:
            yield record


def _drained(stream: ByteStream) -> Fingerprint:
    for _ in stream.blocks():
        continue
    return stream.fingerprint()
