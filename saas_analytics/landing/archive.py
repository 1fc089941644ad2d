"""Archives an external file that has landed: it moves to `processed/`, next to its rejects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from saas_analytics.landing.errors import LandingError
from saas_analytics.landing.files import describe, fingerprint
from saas_analytics.landing.tables import lock

PROCESSED = "processed"
ERROR_RECORDS = "error_records.json"


def archive_file(
    connection: psycopg.Connection, load_ids: Sequence[int], path: Path, *, keep: bool
) -> None:
    """Move a file with committed loads to `processed/`, unless `keep`; write its rejects there.

    With `keep` the rejects are next to the file. A second call changes nothing, so the next run
    completes one that was killed. LandingError if the directory cannot be written.
    """
    directory = path.parent if keep or path.parent.name == PROCESSED else path.parent / PROCESSED
    try:
        directory.mkdir(exist_ok=True)
        with connection.transaction(), connection.cursor() as cursor:
            lock(cursor, f"land {directory.resolve()}")  # one writer at a time, of all processes
            _write_error_records(connection, load_ids, directory / ERROR_RECORDS, path.name)
        _move(path, directory)
    except OSError as error:
        raise LandingError(
            f"{path} has landed, but {error.filename or directory} cannot be written: "
            f"{error.strerror or error}. Fix that and run this again: nothing lands twice."
        ) from error


def _move(path: Path, directory: Path) -> None:
    target = directory / path.name
    if target == path:
        return
    if target.exists():
        digest = fingerprint(describe(path, "csv")).sha256
        # An older delivery of the same name keeps its name.
        if digest != fingerprint(describe(target, "csv")).sha256:
            name, dot, endings = path.name.partition(".")
            target = directory / f"{name}.{digest[:12]}{dot}{endings}"
    path.replace(target)


def _write_error_records(
    connection: psycopg.Connection, load_ids: Sequence[int], target: Path, name: str
) -> None:
    """Write the rejects of these loads of the file `name` to the JSON array `target`.

    They replace the file's older ones. Each record is a line: the array is never in memory whole.
    """
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as stream:
            separator = "[\n"
            for records in (_of_other_files(target, name), _of_loads(connection, load_ids, name)):
                for record in records:
                    stream.write(separator + record)
                    separator = ",\n"
            stream.write("\n]\n" if separator == ",\n" else "[]\n")
        if separator == ",\n" or target.exists():
            unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _of_other_files(target: Path, name: str) -> Iterator[str]:
    if not target.exists():
        return
    with target.open(encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("{") and json.loads(line.rstrip().rstrip(",")).get("file") != name:
                yield line.rstrip().rstrip(",")


def _of_loads(connection: psycopg.Connection, load_ids: Sequence[int], name: str) -> Iterator[str]:
    with connection.cursor("error_records") as cursor:
        cursor.execute(
            "select source, landed_on, line, reason, original from raw.rejects"
            " where load_id = any(%s) order by source, line",
            [list(load_ids)],
        )
        for source, landed_on, line, reason, original in cursor:
            entry = {
                "file": name,
                "source": source,
                "landed_on": landed_on.isoformat(),
                "line": line,
            }
            yield json.dumps({**entry, "reason": reason, "original": original})
