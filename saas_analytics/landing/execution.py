"""Finds the files to land, and lands them in parallel, with progress."""

from __future__ import annotations

import math
import os
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import errors

from saas_analytics.contracts import SOURCES, load_contract
from saas_analytics.errors import AnalyticsError
from saas_analytics.landing.display import Display
from saas_analytics.landing.errors import Interrupted, LandingError
from saas_analytics.landing.files import printable
from saas_analytics.landing.outcome import Outcome
from saas_analytics.landing.tables import ensure_tables
from saas_analytics.landing.zone import (
    Observer,
    corrected_days,
    corrections,
    day_directory,
    delivered_files,
    land_day,
    sources_without_contract,
)
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, check_version, connect, ensure_warehouse

# Limits of a session that lands: the server ends one whose client hangs or is gone. There is no
# lock_timeout, because a landing waits for another one of the same files; see tables.lock_table.
_SESSION_LIMITS = """
set statement_timeout to '24h';
set idle_in_transaction_session_timeout to '30min';
set client_connection_check_interval to '5s';
set tcp_keepalives_idle to 60;
set tcp_keepalives_interval to 10;
set tcp_keepalives_count to 6
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to land on a connection, and the outcome if that fails."""

    failure: Outcome
    size: int  # bytes, for the progress
    land: Callable[[psycopg.Connection, Observer], list[Outcome]]


def prepare(settings: Settings, *, may_create: bool = True) -> None:
    """Create the warehouse, its load log and its raw tables if they are missing.

    WarehouseError if the server does not answer, or if something is missing and `may_create`
    is false.
    """
    try:
        with psycopg.connect(settings.dsn("loader")) as connection:
            # The newest table and column of the load log.
            connection.execute("select delivered_on from raw.loads, raw.drift limit 0")
            check_version(connection)
    except (
        errors.UndefinedTable,
        errors.UndefinedColumn,
        errors.InvalidSchemaName,
        psycopg.OperationalError,
    ) as error:
        if not may_create:
            reason = str(error).splitlines()[0]
            raise WarehouseError(
                f"A dry run needs a warehouse, and creates none: {reason}. Run `make up`, or land "
                "without --dry-run."
            ) from error
        ensure_warehouse(settings)  # raises if the cause is something else
    with connect(settings, "loader", autocommit=True, application_name="land") as connection:
        ensure_tables(connection)


def land_days(
    settings: Settings,
    zone: Path | None,
    first: date,
    number: int,
    display: Display,
    *,
    again: bool = False,
    allow_future: bool = False,
    dry_run: bool = False,
) -> list[Outcome]:
    """Land `number` days of a landing zone, from `first` on.

    `zone`: None for that of the settings. `again` lands older deliveries too, in place of corrected
    ones. `allow_future` lands days after tomorrow. Raises LandingError if nothing can be landed;
    the failure of one source and day is an outcome.
    """
    if zone is None:
        zone = settings.landing_zone
        zone.mkdir(parents=True, exist_ok=True)  # a team that lands external files only has none
    elif not zone.is_dir():
        raise LandingError(
            f"There is no landing zone {zone}: run `analytics generate`, or name another with "
            "--from."
        )
    try:
        days = [first + timedelta(days=after) for after in range(number)]
    except OverflowError:
        raise LandingError(
            f"{number} days from {first} on go beyond the last day, {date.max}."
        ) from None
    if not allow_future:
        refuse_future(days[-1])
    prepare(settings, may_create=not dry_run)

    def task(place: Path, source: str, day: date, arrived: date | None = None) -> Task:
        def land(connection: psycopg.Connection, observe: Observer) -> list[Outcome]:
            contract = load_contract(source)
            return [
                land_day(connection, contract, day, place, observe, again=again, dry_run=dry_run)
            ]

        failure = Outcome(source, day, "failed", delivered_on=arrived)
        return Task(failure, _size(day_directory(place, source, day)), land)

    no_contract = f"there is no contract for it. Contracts: {', '.join(SOURCES)}."
    failures = [
        Outcome(source, day, "failed", message=no_contract)
        for source, day in sources_without_contract(zone, days)
    ]
    tasks = []
    for day in days:
        tasks += [task(zone, source, day) for source in SOURCES]
        for source, directory, earlier in corrected_days(zone, day):
            if earlier is None:
                failures.append(
                    Outcome(
                        source,
                        day,
                        "failed",
                        message=f"{directory}: that is not a day like 2026-01-31.",
                    )
                )
            elif source not in SOURCES:
                failures.append(
                    Outcome(source, earlier, "failed", message=no_contract, delivered_on=day)
                )
            else:
                tasks.append(task(corrections(zone, day), source, earlier, day))
    outcomes = run(settings, tasks, display)
    for failure in failures:
        display.show(failure.line())
    outcomes += failures
    if all(outcome.status == "absent" for outcome in outcomes):
        display.show(
            f"No files for {days[0]}{f' to {days[-1]}' if len(days) > 1 else ''} in {zone}."
        )
    return outcomes


def land_files(
    settings: Settings,
    mapping: Path,
    files: Sequence[Path],
    day: date,
    display: Display,
    *,
    new: bool = False,
    keep: bool = False,
    allow_future: bool = False,
    dry_run: bool = False,
) -> list[Outcome]:
    """Land external files that arrived on `day`, by a mapping file.

    `new` lands files whose name or bytes landed before as other files; `keep` does not archive
    them; `allow_future` lands on a day after tomorrow. MappingError if the mapping is wrong; the
    failure of one file is an outcome.
    """
    # Mappings need pydantic, whose import takes longer than the landing of a small zone.
    from saas_analytics.landing.external import land_file
    from saas_analytics.landing.mapping import load_mappings

    if not allow_future:
        refuse_future(day)
    prepare(settings, may_create=not dry_run)
    mappings = load_mappings(mapping)
    for path in files:
        twins = [str(other) for other in files if other.name == path.name]
        if len(twins) > 1 and not new:
            raise LandingError(
                f"{' and '.join(twins)} have the same name: the second would be a correction of "
                "the first. Land them with --new, or rename one of them."
            )

    def task(path: Path) -> Task:
        def land(connection: psycopg.Connection, observe: Observer) -> list[Outcome]:
            return land_file(
                connection,
                mappings,
                path,
                day,
                new=new,
                keep=keep,
                dry_run=dry_run,
                observe=observe,
            )

        failure = Outcome(mappings[0].contract.source, day, "failed", printable(path.name), 1)
        return Task(failure, _size(path) * len(mappings), land)

    return run(settings, [task(path) for path in files], display)


def refuse_future(day: date) -> None:
    """LandingError for a day after tomorrow, in UTC: the models would take it for today."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    if day > tomorrow:
        raise LandingError(
            f"{day} is after tomorrow. The last landed day is today for the models, so a mistyped"
            " one would move all of them. Nothing landed. Correct the day, or add --allow-future."
        )


def _size(place: Path) -> int:
    """Bytes of a file, or of a day's files, for the progress.

    0 if they cannot be read: landing them says why, as the outcome of that source or file alone.
    """
    try:
        files = delivered_files(place) if place.is_dir() else [place]
        return sum(path.stat().st_size for path in files if path.is_file())
    except OSError:
        return 0


def usable_processors(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The processors that this process may use, at least 1.

    A container has those of its host, but its quota of processor time may be that of fewer.
    `cpu_max`: the quota in the second version of control groups, such as "150000 100000".
    """
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        quota, period = cpu_max.read_text().split()
        return max(1, min(processors, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control groups, or "max" for no quota
        return processors


def run(settings: Settings, tasks: Sequence[Task], display: Display) -> list[Outcome]:
    """Run the tasks on as many threads as there are processors, each with its own connection."""
    stop = threading.Event()
    local = threading.local()
    connections: list[psycopg.Connection] = []

    def work(task: Task, advance: Callable[[int], None]) -> list[Outcome]:
        left = task.size

        def observe(step: str, size: int) -> None:
            nonlocal left
            if stop.is_set():
                raise Interrupted("stopped")
            if 0 < size <= left:
                left -= size
                advance(size)

        try:
            connection = getattr(local, "connection", None)
            if connection is None or connection.closed:
                connection = local.connection = connect(
                    settings, "loader", autocommit=True, application_name="land"
                )
                connection.execute(_SESSION_LIMITS.encode())
                connections.append(connection)
            return task.land(connection, observe)
        except AnalyticsError as error:
            return [replace(task.failure, message=str(error))]
        except OSError as error:
            return [
                replace(task.failure, message=f"{error.filename or ''}: {error.strerror or error}")
            ]
        except psycopg.Error as error:
            return [replace(task.failure, message=_database_message(settings, error))]
        except Exception as error:  # a fault of this program: it fails this item, and no other
            traceback.print_exc()
            return [replace(task.failure, message=_fault_message(error))]
        finally:
            advance(left)  # the bytes that did not have to be read

    outcomes: list[Outcome] = []
    threads = min(usable_processors(), len(tasks) or 1)
    with (
        display.progress(sum(task.size for task in tasks)) as advance,
        ThreadPoolExecutor(threads) as pool,
    ):
        running: set[Future[list[Outcome]]] = {pool.submit(work, task, advance) for task in tasks}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for outcome in (outcome for future in done for outcome in future.result()):
                    outcomes.append(outcome)
                    if outcome.status != "absent":
                        display.show(outcome.line())
        except BaseException:
            stop.set()
            for future in running:
                future.cancel()
            for connection in connections:
                connection.cancel_safe(timeout=5)
            raise
    for connection in connections:
        connection.close()
    return outcomes


def _fault_message(error: Exception) -> str:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return (
        f"an unforeseen error ({' '.join(what.split())}). This is a fault of this program: please"
        " report it with the traceback above. Run this again: nothing lands twice."
    )


def _database_message(settings: Settings, error: psycopg.Error) -> str:
    where = f"{settings.host}:{settings.port}"
    reason = " ".join(str(error).split())
    if isinstance(error, errors.DiskFull):
        return f"the disk of PostgreSQL at {where} is full: {reason} Free space and run this again."
    # Without a code the connection broke. Class 57P: the server or the session was stopped.
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "57P").startswith("57P"):
        return (
            f"the connection to PostgreSQL at {where} was lost: {reason} Run this again: nothing "
            "lands twice."
        )
    return f"PostgreSQL at {where} refused: {reason}"
