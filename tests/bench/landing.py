"""What landing costs: beside the server's own COPY of the same bytes, and beside pandas.

python -m tests.bench.landing [--rows 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from statistics import median

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from infrastructure.settings import PROJECT_ROOT, Settings
from infrastructure.warehouse import ensure_warehouse
from tests.server import running_server

DAY, OTHER = date(2026, 1, 5), date(2026, 1, 6)
PANDAS_ROWS = 50_000  # it takes minutes for a million, and as long for each

# The kind of table that landing fills: the same columns, checks and defaults.
_TABLE = """
drop table if exists public.beside;
create temporary sequence if not exists beside_line cache 1000;
create table public.beside (like raw.events including constraints);
alter table public.beside
    alter _file set default 'events.jsonl', alter _load_id set default 1, alter _partition set default '2026-01-05',
    alter _line set default nextval('pg_temp.beside_line'::regclass),
    add constraint in_partition check (_partition = '2026-01-05')
"""
_COPY = "copy public.beside (_doc) from {} with (format csv, delimiter e'\\x01', quote e'\\x02')"
_PANDAS = """
import os, sys, time, pandas, psycopg2, sqlalchemy
started = time.perf_counter()
engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(os.environ["BENCH_DSN"]))
if sys.argv[1].endswith(".jsonl"):
    frame, types = pandas.read_json(sys.argv[1], lines=True), {"properties": sqlalchemy.dialects.postgresql.JSONB}
else:
    frame, types = pandas.read_csv(sys.argv[1], dtype=str), {}
frame.to_sql("by_pandas", engine, schema="public", if_exists="replace", index=False, dtype=types)
print(time.perf_counter() - started)
"""


def measure(rows: int = 1_000_000, rounds: int = 5) -> list[tuple[str, str, str, str]]:
    """What was measured, the result, what stands beside it, and the ratio. The rounds are interleaved."""
    with tempfile.TemporaryDirectory(prefix="bench-landing-") as place, running_server() as server:
        Path(place).chmod(0o755)  # the server reads there, as another user when this runs as root
        settings = replace(server, database="bench_landing", landing_zone=Path(place) / "raw")
        ensure_warehouse(settings)
        file = _write_events(settings.landing_zone / "events" / f"dt={DAY}" / "events.jsonl", rows)
        users = _write_users(settings.landing_zone / "users" / f"dt={OTHER}" / "users.csv", rows)
        samples = [_write_sample(one, Path(place) / f"sample{one.suffix}") for one in (file, users)]
        _land(settings, OTHER + timedelta(days=1))  # makes the tables
        copies: list[float] = []
        landings: list[float] = []
        loads: list[float] = []
        landings_csv: list[float] = []
        peaks: list[float] = []
        by_pandas: list[list[float]] = [[], []]
        for _ in range(rounds):
            copies.append(_copy_by_server(settings, file))
            for day, times in ((DAY, landings), (OTHER, landings_csv)):
                seconds, peak, load = _land(settings, day)
                times.append(seconds)
                peaks.append(peak)
                loads += [load] if day == DAY else []
            for sample, times in zip(samples, by_pandas, strict=True):
                times.append(_by_pandas(settings, sample))
            _forget(settings)
        careful = _careful(settings, file)
        size = file.stat().st_size / 1e6
    ours, servers = median(landings), median(copies)
    rates = rows / ours, rows / median(landings_csv)
    theirs = [PANDAS_ROWS / median(times) for times in by_pandas]
    return [
        (
            f"landing {rows:,} events ({size:,.0f} MB)",
            f"{median(loads):.2f} s",
            f"COPY by the server: {servers:.2f} s",
            f"{median(loads) / servers:.2f}x",
        ),
        (
            "the whole command, with the start of Python",
            f"{ours:.2f} s",
            f"COPY by the server: {servers:.2f} s",
            f"{ours / servers:.2f}x",
        ),
        (
            "landing them, rows a second",
            f"{rates[0]:,.0f}",
            f"pandas read_json and to_sql of {PANDAS_ROWS:,}: {theirs[0]:,.0f}",
            f"{rates[0] / theirs[0]:.1f}x",
        ),
        (
            f"landing {rows:,} users (CSV), rows a second",
            f"{rates[1]:,.0f}",
            f"pandas read_csv and to_sql of {PANDAS_ROWS:,}: {theirs[1]:,.0f}",
            f"{rates[1] / theirs[1]:.1f}x",
        ),
        ("peak memory of landing it", f"{max(peaks):,.0f} MB", "bound: 120 MB", f"{max(peaks) / 120:.2f}x"),
        (
            "landing it with a broken line in it",
            f"{careful[0]:.2f} s, {careful[1]:,.0f} MB",
            f"without: {ours:.2f} s, {max(peaks):,.0f} MB",
            f"{careful[0] / ours:.2f}x",
        ),
    ]


def _write_events(path: Path, rows: int) -> Path:
    path.parent.mkdir(parents=True)
    chance = random.Random(1)
    event = (
        '{{"event_id":"{:032x}","user_id":"u{:06d}","event_type":"{}","event_timestamp":"2026-01-05T{:02d}:{:02d}:{:02d}Z",'
        '"received_at":"2026-01-05T23:59:00Z","session_id":"s{:08d}","device":"mobile","platform":"ios",'
        '"app_version":"4.1.{}","country":"DE","properties":{{"page":"/p/{}","ms":{}}}}}\n'
    )
    with path.open("w") as stream:
        for number in range(rows):
            kind = chance.choice(("page_view", "click", "feature_used"))
            clock = (chance.randrange(24), chance.randrange(60), chance.randrange(60))
            user, page, took = chance.randrange(50_000), number % 50, chance.randrange(5_000)
            stream.write(event.format(chance.getrandbits(128), user, kind, *clock, number // 7, number % 9, page, took))
    path.chmod(0o644)
    return path


def _write_users(path: Path, rows: int) -> Path:
    path.parent.mkdir(parents=True)
    with path.open("w") as stream:
        stream.write("user_id,updated_at,customer_id,email,full_name,phone,country,role,signed_up_at\n")
        for number in range(rows):
            person = f"u{number:07d},2026-01-06T10:00:{number % 60:02d}Z,c{number // 9:06d},u{number}@example.org"
            stream.write(
                f"{person},Name {number},+49 30 {number:07d},DE,member,2025-06-{number % 28 + 1:02d}T09:00:00Z\n"
            )
    return path


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
        admin.execute("drop table public.beside")
    return seconds


def _land(settings: Settings, day: date) -> tuple[float, float, float]:
    """Wall seconds and peak resident megabytes of land.py, as a process of its own, and seconds of the load in it."""
    command = [sys.executable, "data_gen/land.py", "--day", str(day), "--json"]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        environment = {**os.environ, **settings.environment()}
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=output, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            messages.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{messages.read().decode()}")
        output.seek(0)
        load = sum(outcome["seconds"] for outcome in json.loads(output.read())["outcomes"])
    return seconds, usage.ru_maxrss / 1024, load


def _by_pandas(settings: Settings, sample: Path) -> float:
    """Seconds of the work alone, without the start of Python and the imports."""
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


def _careful(settings: Settings, file: Path) -> tuple[float, float, float]:
    """The same with a line that COPY refuses at the end: what was copied is thrown away, and read with care."""
    with file.open("ab") as stream:
        stream.write(b'{"event_id":\n')
    return _land(settings, DAY)


def _forget(settings: Settings) -> None:
    """So that the next landing is a first one."""
    with psycopg.connect(settings.dsn("owner"), autocommit=True) as owner:
        partitions = owner.execute(
            "select inhrelid::regclass::text from pg_inherits"
            " where inhparent in ('raw.events'::regclass, 'raw.users'::regclass)"
        ).fetchall()
        for (partition,) in partitions:
            owner.execute(f"drop table {partition}")
        owner.execute("truncate raw.loads cascade")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.landing", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    results = Table("what", "measured", "beside", "ratio")
    for row in measure(arguments.rows, arguments.rounds):
        results.add_row(*row)
    Console(width=140).print(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
