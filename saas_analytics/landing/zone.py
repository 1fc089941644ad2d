"""Lands one source and day of the landing zone: one transaction swaps the day's partition whole.

A day may have several deliveries: the first one, and corrected ones that arrive on later days. The
one that arrived last counts, in whatever order they land.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg

from saas_analytics.contracts import SOURCES, Contract
from saas_analytics.landing.copying import Copied, copy_file
from saas_analytics.landing.drift import Drift, drift_of_documents, drift_of_names, record_drift
from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.files import Fingerprint, InputFile, describe, fingerprint
from saas_analytics.landing.load_log import (
    Counts,
    RejectBuffer,
    ZoneLoad,
    close_load,
    live_zone_load,
    open_zone_load,
    record_delivery,
    record_event_days,
    zone_content,
)
from saas_analytics.landing.manifest import read_manifest
from saas_analytics.landing.outcome import Outcome, Status
from saas_analytics.landing.shapes import Shape, check_required, shape_of
from saas_analytics.landing.tables import (
    Cursor,
    attach,
    create_zone_partition,
    lock,
    zone_partition,
)

# Called at each step of a landing, and with "copying" for each block of bytes that is read.
Observer = Callable[[str, int], None]


def ignore(step: str, size: int) -> None:
    """An observer that does nothing."""


_REDELIVERED = "_redelivered"


@dataclass(frozen=True, slots=True)
class _Delivery:
    """The files of a day that can land, and why each of the others cannot."""

    files: tuple[tuple[InputFile, Shape], ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _New:
    """A copied load that is not yet part of the raw table."""

    load_id: int
    partition: str
    files: list[Copied]
    drift: Drift

    @property
    def counts(self) -> Counts:
        return sum((one.counts for one in self.files), Counts())


def day_directory(zone: Path, source: str, day: date) -> Path:
    return zone / source / f"dt={day:%Y-%m-%d}"


def delivered_files(directory: Path) -> Sequence[Path]:
    """The files to land of a day's directory; names that begin with _ or . are not data."""
    if not directory.is_dir():
        return ()
    return sorted(path for path in directory.iterdir() if path.name[0] not in "_.")


def sources_without_contract(zone: Path, days: Sequence[date]) -> Iterator[tuple[str, date]]:
    """The directories and days in the zone that belong to no known source."""
    for directory in sorted(
        path for path in zone.iterdir() if path.is_dir() and path.name[0] not in "_."
    ):
        if directory.name not in SOURCES:
            for day in days:
                if delivered_files(day_directory(zone, directory.name, day)):
                    yield directory.name, day


def corrections(zone: Path, day: date) -> Path:
    """The directory of the corrected deliveries that arrive on `day`.

    It is laid out like a landing zone, for earlier days.
    """
    return zone / _REDELIVERED / f"on={day}"


def corrected_days(zone: Path, day: date) -> Iterator[tuple[str, Path, date | None]]:
    """Source, directory and day of each corrected delivery that arrives on `day`.

    The day is None if the directory's name is not a day.
    """
    for directory in sorted(corrections(zone, day).glob("[!_.]*/dt=*")):
        if delivered_files(directory):
            yield directory.parent.name, directory, _day_of(directory, "dt=")


def _day_of(directory: Path, prefix: str) -> date | None:
    text = directory.name.removeprefix(prefix)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
    return day if directory.name == f"{prefix}{day}" else None


def _arrival(zone: Path, day: date) -> date:
    """The day on which the files of `day` in `zone` arrived.

    It is `day` itself, unless `zone` is a directory of corrections.
    """
    directory = zone.absolute()
    if directory.parent.name != _REDELIVERED:
        return day
    arrived = _day_of(directory, "on=")
    if arrived is None:
        raise FileRefused(
            f"{zone}: name a directory in {_REDELIVERED} by the day of its arrival: on=2026-01-31."
        )
    if day >= arrived:
        raise FileRefused(
            f"{zone}: a corrected delivery is of a day before {arrived}, which {day} is not."
        )
    return arrived


def land_day(
    connection: psycopg.Connection,
    contract: Contract,
    day: date,
    zone: Path,
    observe: Observer = ignore,
    *,
    again: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Land the files of this source and day. Everything is committed, or nothing.

    `again`: even if a delivery that arrived later has landed. `dry_run`: do the same, and roll
    it back. The raw tables exist (`ensure_tables`). The connection is in autocommit mode, with no
    open transaction. FileRefused if the manifest disagrees; other failures are in the outcome.
    """
    arrived = _arrival(zone, day)
    outcome = _land(connection, contract, day, zone, arrived, observe, again, dry_run)
    return outcome if arrived == day else replace(outcome, delivered_on=arrived)


def _land(
    connection: psycopg.Connection,
    contract: Contract,
    day: date,
    zone: Path,
    arrived: date,
    observe: Observer,
    again: bool,
    dry_run: bool,
) -> Outcome:
    started = time.monotonic()
    directory = day_directory(zone, contract.source, day)
    paths = delivered_files(directory)
    manifest = read_manifest(directory)
    if manifest is not None:
        manifest.check_files(paths)
    if not paths:
        return Outcome(contract.source, day, "absent")
    with connection.transaction(force_rollback=dry_run), connection.cursor() as cursor:
        lock(cursor, f"land {contract.source} {day}")
        live = live_zone_load(cursor, contract.source, day)
        if live and arrived < live.delivered_on and not again:
            message = (
                f"an older delivery; a corrected one of {live.delivered_on} has landed "
                f"(load {live.load_id})"
            )
            return Outcome(contract.source, day, "unchanged", None, len(paths), message=message)
        delivery = _delivery(contract, paths)
        refused = " ".join(delivery.refused)
        if not delivery.files:
            return Outcome(contract.source, day, "failed", message=refused)
        if live and refused:
            # Landing only the others would take away the earlier rows of the refused file.
            message = f"{refused} The day stays as it was."
            return Outcome(contract.source, day, "failed", message=message)
        if refused and arrived != day:
            # Half a correction would count more than a whole first delivery that lands after it.
            return Outcome(
                contract.source,
                day,
                "failed",
                message=f"{refused} Nothing of this correction landed.",
            )
        if live and (landed := _landed_already(live, delivery.files)):
            if manifest is not None:
                manifest.check_digests(landed)
            if arrived > live.delivered_on:
                record_delivery(cursor, live.load_id, arrived)
            seconds = time.monotonic() - started
            status: Status = "failed" if refused else "unchanged"
            return Outcome(
                contract.source,
                day,
                status,
                None,
                len(delivery.files),
                seconds=seconds,
                message=refused,
            )
        new = _copy_new(cursor, contract, day, arrived, delivery.files, live, observe)
        if manifest is not None:
            manifest.check_digests([one.fingerprint for one in new.files])
            manifest.check_rows({one.fingerprint.name: one.counts.read for one in new.files})
        if not dry_run:
            _attach_new(cursor, contract, day, new, live, observe)
    observe("rolled back" if dry_run else "committed", 0)
    return Outcome(
        contract.source,
        day,
        "failed" if refused else "replaced" if live else "landed",
        files=len(delivery.files),
        counts=new.counts,
        seconds=time.monotonic() - started,
        message=refused,
        load_id=None if dry_run else new.load_id,
        drift=new.drift,
        dry_run=dry_run,
    )


def _delivery(contract: Contract, paths: Sequence[Path]) -> _Delivery:
    files, refused = [], []
    for path in paths:
        try:
            if not path.is_file():
                raise FileRefused(
                    f"{path} is not a file. If it is not data, rename it to begin with _ or a dot."
                )
            file = describe(path)
            shape = shape_of(file)
            check_required(contract, file, shape)
        except FileRefused as error:
            message = str(error)
            refused.append(message if str(path) in message else f"{path}: {message}")
        else:
            files.append((file, shape))
    return _Delivery(tuple(files), tuple(refused))


def _landed_already(live: ZoneLoad, files: Sequence[tuple[InputFile, Shape]]) -> list[Fingerprint]:
    """The fingerprints of the files if exactly these have landed, else nothing.

    They are read only if their names and sizes are the same.
    """
    if live.is_expired or live.sizes != {file.name: file.size for file, _ in files}:
        return []
    fingerprints = [fingerprint(file) for file, _ in files]
    return fingerprints if live.content_sha256 == zone_content(fingerprints) else []


def _copy_new(
    cursor: Cursor,
    contract: Contract,
    day: date,
    arrived: date,
    files: Sequence[tuple[InputFile, Shape]],
    live: ZoneLoad | None,
    observe: Observer,
) -> _New:
    load_id = open_zone_load(cursor, contract.source, day, arrived)
    superseded = [live.load_id] if live else []
    observe("before copy", 0)
    with RejectBuffer() as rejects:
        partition, copied = _copy(cursor, contract, day, files, load_id, rejects, observe)
        rejects.write(cursor, load_id, contract.source, day)
    has_unknown = record_event_days(
        cursor, contract, partition, load_id, day, superseded, whole_table=True
    )
    drift = _drift(cursor, contract, partition, files, copied, has_unknown)
    record_drift(cursor, load_id, drift)
    new = _New(load_id, partition, copied, drift)
    fingerprints = [one.fingerprint for one in copied]
    close_load(cursor, load_id, fingerprints, zone_content(fingerprints), new.counts, superseded)
    return new


def _attach_new(
    cursor: Cursor,
    contract: Contract,
    day: date,
    new: _New,
    live: ZoneLoad | None,
    observe: Observer,
) -> None:
    observe("before attach", 0)
    replaced = zone_partition(contract.source, live.landed_on, live.load_id) if live else None
    attach(cursor, contract, new.partition, day.isoformat(), replaced)
    observe("before commit", 0)


def _drift(
    cursor: Cursor,
    contract: Contract,
    partition: str,
    files: Sequence[tuple[InputFile, Shape]],
    copied: Sequence[Copied],
    has_unknown: bool,
) -> Drift:
    """The drift of the headers, and of documents that of their rows."""
    drift = Drift()
    for (_, shape), one in zip(files, copied, strict=True):
        drift |= drift_of_names(contract, shape.columns or one.names)
    if contract.payload == "document" and any(shape.columns is None for _, shape in files):
        drift |= drift_of_documents(cursor, contract, partition, has_unknown=has_unknown)
    return drift


def _copy(
    cursor: Cursor,
    contract: Contract,
    day: date,
    files: Sequence[tuple[InputFile, Shape]],
    load_id: int,
    rejects: RejectBuffer,
    observe: Observer,
) -> tuple[str, list[Copied]]:
    def on_read(size: int) -> None:
        observe("copying", size)

    partition = create_zone_partition(cursor, contract, day, load_id)
    return partition, [
        copy_file(cursor, contract, partition, file, shape, rejects, on_read)
        for file, shape in files
    ]


def zone_directories(zone: Path) -> list[Path]:
    """The directories of sources, corrected deliveries and the ground truth in a landing zone.

    Other things may be next to them.
    """
    laid_out = ("dt=*", "on=*")
    return [
        zone / name
        for name in (*SOURCES, "_redelivered", "_truth")
        if any(next((zone / name).glob(pattern), None) for pattern in laid_out)
    ]
