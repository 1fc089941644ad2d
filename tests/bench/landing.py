"""The cost of landing, against the server's own COPY of the same bytes, and against pandas.

python -m tests.bench.landing [--rows 1000000] [--rounds 5]     exit code 1: a promise is broken
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from saas_analytics.contracts import load_contract
from saas_analytics.settings import PROJECT_ROOT, Settings
from saas_analytics.warehouse import ensure_warehouse
from tests.server import running_server

DAY = date(2026, 1, 5)
PANDAS_ROWS = 50_000  # a million take a minute, at the same rate
BOUND = 120  # MB
AGAINST_COPY, AGAINST_PANDAS, WITH_BROKEN_LINE = 1.25, 15, 1.5

# A table like those that landing fills: the same columns, checks and defaults.
_TABLE = """
drop table if exists public.by_copy;
create temporary sequence if not exists by_copy_line cache 1000;
create table public.by_copy (like raw.events including constraints);
alter table public.by_copy
    alter _file set default 'events.jsonl',
    alter _load_id set default 1,
    alter _partition set default '2026-01-05',
    alter _line set default nextval('pg_temp.by_copy_line'::regclass),
    add constraint in_partition check (_partition = '2026-01-05')
"""
_COPY = "copy public.by_copy (_doc) from {} with (format csv, delimiter e'\\x01', quote e'\\x02')"
# Plain pandas: read the file and write the frame, with the defaults of the libraries. The result is
# that of landing: text and jsonb, and in each row its file, line, load and day. The start of Python
# and the imports do not count here; for landing they do.
_PANDAS = """
import os, sys, time, pandas, psycopg2, sqlalchemy
started = time.perf_counter()
connect = lambda: psycopg2.connect(os.environ["BENCH_DSN"])
engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=connect)
path = sys.argv[1]
if path.endswith(".jsonl"):
    frame = pandas.read_json(path, lines=True, dtype=False, convert_dates=False)
    types = {"properties": sqlalchemy.dialects.postgresql.JSONB}
else:
    frame, types = pandas.read_csv(path, dtype=str), {}
lines = range(1, len(frame) + 1)
frame = frame.assign(
    _file=os.path.basename(path), _line=lines, _load_id=1, _partition="2026-01-05"
)
frame.to_sql("by_pandas", engine, schema="public", if_exists="replace", index=False, dtype=types)
print(time.perf_counter() - started)
"""


@dataclass(frozen=True, slots=True)
class _Result:
    """A measurement, its baseline and their ratio; `kept`: whether it is as promised."""

    what: str
    measured: str
    baseline: str
    ratio: float
    kept: bool = True

    @property
    def row(self) -> tuple[str, str, str, str]:
        return self.what, self.measured, self.baseline, f"{self.ratio:.2f}x"


def measure() -> list[tuple[str, str, str, str]]:
    """Rows for the table of `make bench`: the measurement, the result, the baseline, the ratio."""
    return [result.row for result in _measure(1_000_000, 5)]


def _measure(rows: int, rounds: int) -> list[_Result]:
    """Measure everything; the rounds are interleaved."""
    with tempfile.TemporaryDirectory(prefix="bench-landing-") as place, running_server() as server:
        Path(place).chmod(0o755)  # the server reads there, as another user when this runs as root
        settings = replace(server, database="bench_landing", landing_zone=Path(place) / "raw")
        ensure_warehouse(settings)
        files = _write_files(settings.landing_zone, rows)
        events, users = files["JSON Lines"], files["CSV"]
        samples = [
            _write_sample(one, Path(place) / f"sample{one.suffix}") for one in (events, users)
        ]
        _land(settings, DAY - timedelta(days=1))  # creates the tables
        copies: list[float] = []
        landings: dict[str, list[_Landing]] = {name: [] for name in files}
        by_pandas: list[list[float]] = [[], []]
        for number in range(rounds):
            copies.append(_copy_by_server(settings, events))
            # The other files are only for their memory.
            for name in files if number == 0 else ("JSON Lines", "CSV"):
                landings[name].append(_land(settings, _day_of(files[name])))
            for sample, times in zip(samples, by_pandas, strict=True):
                times.append(_by_pandas(settings, sample))
            _forget(settings)
        broken = {name: _land_broken(settings, files[name]) for name in ("JSON Lines", "CSV")}
        size = events.stat().st_size / 1e6
    server_copy = median(copies)
    load = median(landing.load for landing in landings["JSON Lines"])
    whole = {name: median(landing.seconds for landing in landings[name]) for name in files}
    theirs = [PANDAS_ROWS / median(times) for times in by_pandas]
    json_lines = whole["JSON Lines"]
    by_copy = f"COPY by the server: {server_copy:.2f} s"
    ratio = load / server_copy
    results = [
        _Result(
            f"landing {rows:,} events ({size:,.0f} MB)",
            f"{load:.2f} s",
            by_copy,
            ratio,
            ratio <= AGAINST_COPY,
        ),
        _Result(
            "the whole command, with the start of Python",
            f"{json_lines:.2f} s",
            by_copy,
            json_lines / server_copy,
        ),
    ]
    for name, reader, rate in (
        ("JSON Lines", "read_json", theirs[0]),
        ("CSV", "read_csv", theirs[1]),
    ):
        ours = rows / whole[name]
        what = f"landing {rows:,} {files[name].stem} ({name}), rows a second"
        baseline = f"pandas {reader} and to_sql of {PANDAS_ROWS:,}: {rate:,.0f}"
        results.append(
            _Result(what, f"{ours:,.0f}", baseline, ours / rate, ours / rate >= AGAINST_PANDAS)
        )
    for name, one in broken.items():
        ratio = one.seconds / whole[name]
        baseline = f"without: {whole[name]:.2f} s"
        results.append(
            _Result(
                f"{name} with one broken line",
                f"{one.seconds:.2f} s",
                baseline,
                ratio,
                ratio <= WITH_BROKEN_LINE,
            )
        )
    for name, several in landings.items():
        peak = max(landing.peak for landing in several)
        what, ratio = f"peak memory of landing {name}", peak / BOUND
        results.append(_Result(what, f"{peak:,.0f} MB", f"bound: {BOUND} MB", ratio, ratio < 1))
    return results


@dataclass(frozen=True, slots=True)
class _Landing:
    """The cost of a run of land.py."""

    seconds: float  # of the whole command
    load: float  # seconds from the beginning of the load to its commit
    peak: float  # resident megabytes


def _write_files(zone: Path, rows: int) -> dict[str, Path]:
    """Write a file of each kind, each on a different day."""
    names = ["events.jsonl", "users.csv", "users.csv.gz", "subscriptions.json", "orders.parquet"]
    days = (
        zone / name.partition(".")[0] / f"dt={DAY + timedelta(days=after)}"
        for after, name in enumerate(names)
    )
    events, users, packed, array, parquet = (
        day / name for day, name in zip(days, names, strict=True)
    )
    for path in (events, users, packed, array, parquet):
        path.parent.mkdir(parents=True)
    _write_events(events, rows)
    _write_users(users, rows)
    with users.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(plain, target)
    with events.open() as lines, array.open("w") as target:
        for number, line in enumerate(islice(lines, rows // 4)):
            target.write(("," if number else "[") + line)
        target.write("]")
    # In another process: the peak memory of a child begins with that of its parent, so this process
    # has to stay small.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(_write_orders, parquet, rows).result()
    return {
        "JSON Lines": events,
        "CSV": users,
        "CSV, gzipped": packed,
        "a JSON array": array,
        "Parquet, one row group": parquet,
    }


def _day_of(file: Path) -> date:
    return date.fromisoformat(file.parent.name.removeprefix("dt="))


def _write_events(path: Path, rows: int) -> Path:
    chance = random.Random(1)
    event = (
        '{{"event_id":"{:032x}","user_id":"u{:06d}","event_type":"{}",'
        '"event_timestamp":"2026-01-05T{:02d}:{:02d}:{:02d}Z",'
        '"received_at":"2026-01-05T23:59:00Z","session_id":"s{:08d}","device":"mobile","platform":"ios",'
        '"app_version":"4.1.{}","country":"DE","properties":{{"page":"/p/{}","ms":{}}}}}\n'
    )
    with path.open("w") as stream:
        for number in range(rows):
            kind = chance.choice(("page_view", "click", "feature_used"))
            clock = (chance.randrange(24), chance.randrange(60), chance.randrange(60))
            user, page, took = chance.randrange(50_000), number % 50, chance.randrange(5_000)
            stream.write(
                event.format(
                    chance.getrandbits(128), user, kind, *clock, number // 7, number % 9, page, took
                )
            )
    path.chmod(0o644)
    return path


def _write_users(path: Path, rows: int) -> Path:
    with path.open("w") as stream:
        stream.write(
            "user_id,updated_at,customer_id,email,full_name,phone,country,role,signed_up_at\n"
        )
        for number in range(rows):
            person = f"u{number:07d},2026-01-06T10:00:{number % 60:02d}Z,c{number // 9:06d}"
            contact = f"u{number}@example.org,Name {number},+49 30 {number:07d}"
            signed_up = f"2025-06-{number % 28 + 1:02d}T09:00:00Z"
            stream.write(f"{person},{contact},DE,member,{signed_up}\n")
    return path


def _write_orders(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = random.Random(2)
    names = load_contract("orders").column_names
    columns = {name: [f"{name} {numbers.getrandbits(60):x}" for _ in range(rows)] for name in names}
    pq.write_table(pa.table(columns), path, row_group_size=rows)


def _write_sample(file: Path, path: Path) -> Path:
    with file.open("rb") as lines:
        path.write_bytes(b"".join(islice(lines, PANDAS_ROWS + (file.suffix == ".csv"))))
    return path


def _copy_by_server(settings: Settings, file: Path) -> float:
    with psycopg.connect(settings.admin_dsn(settings.database), autocommit=True) as admin:
        admin.execute(_TABLE)
        started = time.perf_counter()
        admin.execute(sql.SQL(_COPY).format(sql.Literal(str(file))))
        seconds = time.perf_counter() - started
        admin.execute("drop table public.by_copy")
    return seconds


def _land(settings: Settings, day: date) -> _Landing:
    """Run land.py as a process, and measure it."""
    command = [sys.executable, "data_gen/land.py", "--day", str(day), "--json"]
    environment = {
        **os.environ,
        **settings.environment(),
        "PYTHONPYCACHEPREFIX": str(settings.landing_zone.parent),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed Python has its modules compiled
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environment, stdout=output, stderr=messages
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            messages.seek(0)
            raise SystemExit(
                f"{' '.join(command)} ended with {process.returncode}:\n{messages.read().decode()}"
            )
        output.seek(0)
        load = sum(outcome["seconds"] for outcome in json.loads(output.read())["outcomes"])
    return _Landing(seconds, load, usage.ru_maxrss / 1024)


def _by_pandas(settings: Settings, sample: Path) -> float:
    """Seconds of the work, without the start of Python and the imports."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PANDAS, str(sample)],
        env={**os.environ, "BENCH_DSN": settings.admin_dsn(settings.database)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"pandas: {done.stderr}")
    return float(done.stdout.split()[-1])


def _land_broken(settings: Settings, file: Path) -> _Landing:
    """The same with a bad line in the middle: broken JSON, or a quote that does not close."""
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.readline()
        stream.write(b'"')
    return _land(settings, _day_of(file))


def _forget(settings: Settings) -> None:
    """Empty the raw tables, so that the next landing is a first one."""
    with psycopg.connect(settings.dsn("owner"), autocommit=True) as owner:
        partitions = owner.execute(
            "select inhrelid::regclass::text"
            " from pg_inherits join pg_class on pg_class.oid = inhparent"
            " where relnamespace = 'raw'::regnamespace"
        ).fetchall()
        for (partition,) in partitions:
            owner.execute(f"drop table {partition}")
        owner.execute("truncate raw.loads cascade")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.landing", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    table = Table("what", "measured", "baseline", "ratio")
    results = _measure(arguments.rows, arguments.rounds)
    for result in results:
        table.add_row(*result.row, style=None if result.kept else "red")
    Console(width=140).print(table)
    for result in results:
        if not result.kept:
            print(f"not as promised: {result.what}: {result.ratio:.2f}x", file=sys.stderr)
    return 0 if all(result.kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
