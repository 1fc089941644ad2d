"""The command line of landing: which work there is, done in parallel, shown as it goes."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import errors

from saas_analytics.contracts import SOURCES, ContractError, load_contract
from saas_analytics.landing.display import Display
from saas_analytics.landing.errors import Interrupted, LandingError
from saas_analytics.landing.files import printable
from saas_analytics.landing.outcome import Outcome, as_json, summary
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
from saas_analytics.settings import Settings, SettingsError, load_settings
from saas_analytics.warehouse import WarehouseError, connect, ensure_warehouse


@dataclass(frozen=True, slots=True)
class Task:
    """Something to land on a connection, and the outcome if that fails."""

    failure: Outcome
    size: int  # bytes, for the progress
    land: Callable[[psycopg.Connection, Observer], list[Outcome]]


def main(argv: Sequence[str] | None = None) -> int:
    """Land what the arguments say; 0 only when everything landed."""
    arguments = _arguments(argv)
    # For a machine, standard output has nothing but the JSON.
    display = Display(sys.stderr if arguments.json else sys.stdout)
    started = time.monotonic()
    try:
        settings = load_settings()
        prepare(settings, may_create=not arguments.dry_run)
        land = _files if arguments.mapping else _zone
        outcomes = land(settings, arguments, display)
    except (ContractError, LandingError, SettingsError, WarehouseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. What was not finished is rolled back; the same command goes on from here.", file=sys.stderr)
        return 130
    seconds = time.monotonic() - started
    if arguments.json:
        print(as_json(outcomes, seconds))
    elif text := summary(outcomes, seconds):
        display.tell(text)
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="land.py",
        description="Land files in the raw tables of the warehouse. Landing the same bytes again changes nothing.",
    )
    parser.add_argument("--day", type=_day, metavar="YYYY-MM-DD", help="the day to land, or on which files arrive")
    parser.add_argument("--days", type=_positive, default=1, metavar="N", help="this many days, from --day on")
    parser.add_argument("--from", dest="zone", type=Path, metavar="DIR", help="the landing zone (LANDING_ZONE)")
    parser.add_argument("--mapping", type=Path, metavar="MAPPING.yaml", help="how the foreign files become rows")
    parser.add_argument("--keep", action="store_true", help="leave the foreign files where they are, not in processed/")
    parser.add_argument("--new", action="store_true", help="land files whose name or bytes are known as others")
    parser.add_argument("--again", action="store_true", help="land older deliveries too, in place of corrected ones")
    parser.add_argument("--dry-run", action="store_true", help="do it all, tell what came of it, and roll it back")
    parser.add_argument("--json", action="store_true", help="the summary as JSON on standard output")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="foreign files, with --mapping")
    arguments = parser.parse_args(argv)
    if arguments.mapping:
        if not arguments.files:
            parser.error("--mapping needs at least one FILE")
        if arguments.zone or arguments.days != 1 or arguments.again:
            parser.error("--from, --days and --again are for the landing zone, and --mapping is for foreign files")
    elif arguments.files:
        parser.error("a FILE needs --mapping, which says what its columns are")
    elif arguments.day is None:
        parser.error("--day is missing: which day of the landing zone is to be landed?")
    elif arguments.keep or arguments.new:
        parser.error("--keep and --new are for foreign files, with --mapping")
    return arguments


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2026-01-31") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def prepare(settings: Settings, *, may_create: bool = True) -> None:
    """Make the warehouse, its books and its raw tables where they are missing.

    WarehouseError where the server does not answer, or where something is missing and not to be made.
    """
    try:
        with psycopg.connect(settings.dsn("loader")) as connection:
            connection.execute("select delivered_on from raw.loads, raw.drift limit 0")  # the newest of the books
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName, psycopg.OperationalError) as error:
        if not may_create:
            reason = str(error).splitlines()[0]
            raise WarehouseError(
                f"A dry run needs a warehouse, and makes none: {reason}. Run `make up`, or land without --dry-run."
            ) from error
        ensure_warehouse(settings)  # says what is wrong where it is not only that something is missing
    with connect(settings, "loader", autocommit=True, application_name="land") as connection:
        ensure_tables(connection)


def _zone(settings: Settings, arguments: argparse.Namespace, display: Display) -> list[Outcome]:
    zone = arguments.zone or settings.landing_zone
    if arguments.zone is None:
        zone.mkdir(parents=True, exist_ok=True)  # a team that lands its own files alone has none
    elif not zone.is_dir():
        raise LandingError(f"There is no landing zone {zone}: run data_gen/generate.py, or name another with --from.")
    try:
        days = [arguments.day + timedelta(days=number) for number in range(arguments.days)]
    except OverflowError:
        raise LandingError(
            f"{arguments.days} days from {arguments.day} on go beyond the last day, {date.max}."
        ) from None

    def task(place: Path, source: str, day: date, arrived: date | None = None) -> Task:
        def land(connection: psycopg.Connection, observe: Observer) -> list[Outcome]:
            contract, again, dry_run = load_contract(source), arguments.again, arguments.dry_run
            return [land_day(connection, contract, day, place, observe, again=again, dry_run=dry_run)]

        files = [path for path in delivered_files(day_directory(place, source, day)) if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        return Task(Outcome(source, day, "failed", delivered_on=arrived), size, land)

    no_contract = f"there is no contract for it. Contracts: {', '.join(SOURCES)}."
    failures = [
        Outcome(source, day, "failed", message=no_contract) for source, day in sources_without_contract(zone, days)
    ]
    tasks = []
    for day in days:
        tasks += [task(zone, source, day) for source in SOURCES]
        for source, directory, earlier in corrected_days(zone, day):
            if earlier is None:
                failures.append(Outcome(source, day, "failed", message=f"{directory}: that is no day like 2026-01-31."))
            elif source not in SOURCES:
                failures.append(Outcome(source, earlier, "failed", message=no_contract, delivered_on=day))
            else:
                tasks.append(task(corrections(zone, day), source, earlier, day))
    outcomes = run(settings, tasks, display)
    for failure in failures:
        display.tell(failure.line())
    outcomes += failures
    if all(outcome.status == "absent" for outcome in outcomes):
        display.tell(f"No files for {days[0]}{f' to {days[-1]}' if len(days) > 1 else ''} in {zone}.")
    return outcomes


def _files(settings: Settings, arguments: argparse.Namespace, display: Display) -> list[Outcome]:
    # Only for foreign files: reading them takes a tenth of a second.
    from saas_analytics.landing.external import land_file
    from saas_analytics.landing.mapping import load_mappings

    mappings = load_mappings(arguments.mapping)
    day = arguments.day or datetime.now(UTC).date()
    for path in arguments.files:
        twins = [str(other) for other in arguments.files if other.name == path.name]
        if len(twins) > 1 and not arguments.new:
            raise LandingError(
                f"{' and '.join(twins)} have the same name: the second would be a correction of the first. "
                "Land them with --new, or rename one of them."
            )

    def task(path: Path) -> Task:
        def land(connection: psycopg.Connection, observe: Observer) -> list[Outcome]:
            return land_file(
                connection,
                mappings,
                path,
                day,
                new=arguments.new,
                keep=arguments.keep,
                dry_run=arguments.dry_run,
                observe=observe,
            )

        size = path.stat().st_size * len(mappings) if path.is_file() else 0
        return Task(Outcome(mappings[0].contract.source, day, "failed", printable(path.name), 1), size, land)

    return run(settings, [task(path) for path in arguments.files], display)


def run(settings: Settings, tasks: Sequence[Task], display: Display) -> list[Outcome]:
    """Do the tasks, as many at a time as there are processors, each thread with a connection of its own."""
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
                connection = local.connection = connect(settings, "loader", autocommit=True, application_name="land")
                connections.append(connection)
            return task.land(connection, observe)
        except (ContractError, LandingError, WarehouseError) as error:
            return [replace(task.failure, message=str(error))]
        except OSError as error:
            return [replace(task.failure, message=f"{error.filename or ''}: {error.strerror or error}")]
        except psycopg.Error as error:
            return [replace(task.failure, message=_database_message(settings, error))]
        finally:
            advance(left)  # what did not have to be read

    outcomes: list[Outcome] = []
    threads = min(os.cpu_count() or 1, len(tasks) or 1)
    with display.progress(sum(task.size for task in tasks)) as advance, ThreadPoolExecutor(threads) as pool:
        running: set[Future[list[Outcome]]] = {pool.submit(work, task, advance) for task in tasks}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for outcome in (outcome for future in done for outcome in future.result()):
                    outcomes.append(outcome)
                    if outcome.status != "absent":
                        display.tell(outcome.line())
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


def _database_message(settings: Settings, error: psycopg.Error) -> str:
    where = f"{settings.host}:{settings.port}"
    reason = " ".join(str(error).split())
    if isinstance(error, errors.DiskFull):
        return f"the disk of PostgreSQL at {where} is full: {reason} Make room and run this again."
    # No code: the connection broke. Class 57P: the server was told to stop, or a session of it was.
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "57P").startswith("57P"):
        return f"the connection to PostgreSQL at {where} was lost: {reason} Run this again; what landed is left alone."
    return f"PostgreSQL at {where} refused: {reason}"
