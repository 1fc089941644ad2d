"""Lands an external file by its mappings.

The file is one transaction, with one load for each contract that it fills.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import psycopg

from saas_analytics.landing.archive import archive_file
from saas_analytics.landing.binding import Binding
from saas_analytics.landing.copying import CONTENT_ERRORS, copy_rows
from saas_analytics.landing.csv_reader import CsvReader
from saas_analytics.landing.drift import Drift, record_drift
from saas_analytics.landing.errors import FileRefused, LandingError
from saas_analytics.landing.files import ByteStream, Fingerprint, InputFile, describe, fingerprint
from saas_analytics.landing.json_reader import (
    DEEPEST,
    JsonLines,
    depth,
    fault_of_escapes,
    json_documents,
    parse,
)
from saas_analytics.landing.load_log import (
    Counts,
    FileLoad,
    RejectBuffer,
    close_load,
    live_file_loads,
    open_file_load,
    record_event_days,
)
from saas_analytics.landing.mapping import REST, Mapping
from saas_analytics.landing.outcome import Outcome
from saas_analytics.landing.projection import Row
from saas_analytics.landing.records import Reason, Reject, reject
from saas_analytics.landing.tables import (
    Cursor,
    delete_load,
    ensure_file_partition,
    file_partition_value,
    lock,
)
from saas_analytics.landing.zone import Observer, ignore


class _Records(Protocol):
    """The records of a file: (line, record), or a Reject."""

    def __iter__(self) -> Iterator[Any]: ...


def land_file(
    connection: psycopg.Connection,
    mappings: Sequence[Mapping],
    path: Path,
    day: date,
    *,
    new: bool = False,
    keep: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
) -> list[Outcome]:
    """Land a file in every contract that its mappings fill. Everything is committed, or nothing.

    Then the file is archived in `processed/` next to it, unless `keep`. `new`: it is another file,
    though its name or its bytes are known. `dry_run`: do the same, and roll it back. The raw tables
    exist, and the connection is in autocommit mode. Returns an outcome for each mapping; raises
    LandingError if the file cannot land.
    """
    if not path.is_file():
        problem = (
            "is not a file that can be read twice and moved" if path.exists() else "does not exist"
        )
        raise FileRefused(f"{path} {problem}. Give the path of a file.")
    file_at_start = _written(path)
    identity = fingerprint(describe(path, mappings[0].format))
    # A column that no mapping names is unknown, unless one of them takes the rest.
    known = set().union(*(mapping.known_columns() for mapping in mappings))
    contracts = {mapping.contract.source: mapping.contract for mapping in mappings}
    outcomes = []
    with connection.transaction(force_rollback=True) if dry_run else nullcontext():
        partitions = {
            source: ensure_file_partition(connection, one, day) for source, one in contracts.items()
        }
        with connection.transaction(), connection.cursor() as cursor:
            # Landings that may be of the same file exclude each other; all lock in the same order.
            names = {
                f"land {source} {part}"
                for source in contracts
                for part in (path.name, identity.sha256)
            }
            for name in sorted(names):
                lock(cursor, name)
            for mapping in mappings:
                file = describe(path, mapping.format)
                partition = partitions[mapping.contract.source]
                outcomes.append(
                    _land(cursor, mapping, known, file, identity, partition, day, new, observe)
                )
            observe("before commit", 0)
    if dry_run:
        return [replace(one, load_id=None, dry_run=True) if one.landed else one for one in outcomes]
    observe("committed", 0)
    if not keep and _written(path) != file_at_start:
        raise LandingError(
            f"{path} has landed, but it was written to since, so it stays. Run this again when it"
            " is complete: it lands as a correction."
        )
    archive_file(
        connection, [outcome.load_id for outcome in outcomes if outcome.load_id], path, keep=keep
    )
    return outcomes


def _written(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last write, which change if somebody writes to the file."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _land(
    cursor: Cursor,
    mapping: Mapping,
    known: set[str],
    file: InputFile,
    identity: Fingerprint,
    partition: str,
    day: date,
    new: bool,
    observe: Observer,
) -> Outcome:
    started = time.monotonic()
    source = mapping.contract.source
    live = [] if new else live_file_loads(cursor, mapping, file.name, identity.sha256)
    same = next((load for load in live if load.is_same), None)
    if same is not None:
        name = f" as {same.name}" if same.name != file.name else ""
        message = f"the same bytes landed{name} on {same.landed_on} (load {same.load_id})"
        return Outcome(
            source, day, "unchanged", file.name, 1, message=message, load_id=same.load_id
        )
    replaced = _replaced(live, file.name)
    load_id = open_file_load(cursor, mapping, day, file.name)
    for load in replaced:
        delete_load(cursor, source, load.landed_on, load.load_id)
    observe("before copy", 0)
    with RejectBuffer() as rejects:
        counts, drift = _copy(
            cursor, mapping, known, file, identity, partition, day, load_id, rejects, observe
        )
        rejects.write(cursor, load_id, source, day)
    record_drift(cursor, load_id, drift)
    superseded = [load.load_id for load in replaced]
    record_event_days(
        cursor, mapping.contract, partition, load_id, day, superseded, whole_table=False
    )
    close_load(cursor, load_id, [identity], identity.sha256, counts, superseded)
    return Outcome(
        source,
        day,
        "replaced" if replaced else "landed",
        file.name,
        1,
        counts,
        time.monotonic() - started,
        message=" ".join(
            f"instead of load {load.load_id}, landed on {load.landed_on}" for load in replaced
        ),
        load_id=load_id,
        drift=drift,
    )


def _replaced(live: Sequence[FileLoad], name: str) -> list[FileLoad]:
    """The load that the file corrects: the newest of its name.

    Without one: the newest of its bytes, which an older mapping landed.
    """
    of_this_name = [load for load in live if load.name == name]
    return (of_this_name or list(live))[-1:]


def _copy(
    cursor: Cursor,
    mapping: Mapping,
    known: set[str],
    file: InputFile,
    identity: Fingerprint,
    partition: str,
    day: date,
    load_id: int,
    rejects: RejectBuffer,
    observe: Observer,
) -> tuple[Counts, Drift]:
    filtered = 0
    names: set[str] = set()
    constants = (file.name, load_id, file_partition_value(day))

    def rows(binding: Binding, records: Iterable[Any], is_json: bool) -> Iterator[Row]:
        nonlocal filtered
        for record in _parsed(records) if is_json else records:
            if isinstance(record, Reject):
                rejects.add(file.name, record)
                continue
            line, values = record
            if is_json:
                names.update(values)
            row = binding.row(values, line)
            if row is None:
                filtered += 1
            else:
                yield (*row, line, *constants)

    with ExitStack() as stack:
        records, columns, read_to_end = _open(
            stack, file, mapping, lambda size: observe("copying", size)
        )
        binding = Binding(mapping, columns, file.name)
        stack.callback(binding.close)
        if isinstance(records, CsvReader) and mapping.ragged == "pad":
            records.fields_needed = binding.fields_needed
        into = (*binding.filled, "_line", "_file", "_load_id", "_partition")
        try:
            # A file without columns has no records.
            landed = (
                0
                if columns == ()
                else copy_rows(cursor, partition, into, rows(binding, records, columns is None))
            )
        except CONTENT_ERRORS as error:
            raise FileRefused(
                f"{file.path}: the server refuses the content: {' '.join(str(error).split())}"
            ) from error
        if read_to_end() != identity.sha256:
            raise FileRefused(
                f"{file.path} changed while it was read. Nothing of it landed; run this again."
            )
    counts = Counts(landed, rejects.count, filtered)
    missing = binding.finish(counts.landed + counts.filtered)
    unknown = {name for name in columns or names if name not in known and REST not in known}
    return counts, Drift(missing=missing) | Drift(unknown=tuple(unknown))


def _open(
    stack: ExitStack, file: InputFile, mapping: Mapping, on_read: Callable[[int], None]
) -> tuple[_Records, tuple[str, ...] | None, Callable[[], str]]:
    """The records of a file, its columns (None for JSON), and its digest once they are read."""
    if file.format == "parquet":
        # pyarrow is large: imported only if it is needed.
        from saas_analytics.landing.parquet_reader import ParquetReader

        parquet = stack.enter_context(ParquetReader(file))
        return parquet, parquet.columns, lambda: fingerprint(file).sha256
    stream = stack.enter_context(ByteStream(file, on_read, mapping.encoding))
    if file.format == "csv":
        try:
            reader = CsvReader(stream.blocks(), mapping.delimiter)
        except FileRefused as error:
            raise FileRefused(f"{file.path}: {error}") from error
        return reader, reader.columns, lambda: stream.fingerprint().sha256
    read = JsonLines if file.format == "jsonl" else json_documents
    return read(stream.blocks()), None, lambda: stream.fingerprint().sha256


def _parsed(
    documents: Iterable[tuple[int, bytes] | Reject],
) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
    for document in documents:
        if isinstance(document, Reject):
            yield document
            continue
        line, raw = document
        try:
            if depth(raw) > DEEPEST:
                raise ValueError("nested too deeply")
            value = parse(raw)
        except ValueError:
            yield reject(line, "broken_json", raw)
            continue
        fault: Reason | None = None if isinstance(value, dict) else "not_an_object"
        fault = fault or fault_of_escapes(raw, value)
        if fault:
            yield reject(line, fault, raw)
        else:
            yield line, value
