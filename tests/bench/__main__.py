"""`make bench`: what the main steps cost, each beside something to compare it with in the same run.

Machines differ and are busy, so what counts are the ratios. Nothing here passes or fails.

    python -m tests.bench [--scale 2] [--days 60]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from infrastructure.settings import PROJECT_ROOT, Settings
from infrastructure.warehouse import ensure_warehouse
from tests.server import running_server

FOUNDED = date(2026, 1, 1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=2.0, help="size of the company (default: 2)")
    parser.add_argument("--days", type=int, default=60, help="days of history (default: 60)")
    arguments = parser.parse_args(argv)
    results = Table("what", "measured", "beside", "ratio", title=f"scale {arguments.scale:g}, {arguments.days} days")
    with tempfile.TemporaryDirectory(prefix="saas-analytics-bench-") as place, running_server() as server:
        Path(place).chmod(0o755)  # the server reads files there, as another user when this runs as root
        settings = replace(
            server, landing_zone=Path(place) / "raw", company_scale=arguments.scale, company_founded=FOUNDED
        )
        ensure_warehouse(settings)
        for measure in (generating, landing, building):
            print(f"{measure.__name__} ...", file=sys.stderr, flush=True)
            for row in measure(settings, arguments.days):
                results.add_row(*row)
    Console().print(results)
    return 0


def generating(settings: Settings, days: int) -> list[tuple[str, str, str, str]]:
    """CPU seconds and peak memory of the generator, beside rows that Faker makes one by one."""
    cpu, peak = _cpu_of("data_gen/generate.py", settings, "--day", str(FOUNDED), "--days", str(days))
    rows = sum(path.read_bytes().count(b"\n") for path in settings.landing_zone.glob("events/*/*.jsonl"))
    naive_rows = 2_000
    started = time.process_time()
    _naive_events(naive_rows)
    naive = naive_rows / (time.process_time() - started)
    return [
        (
            "events generated per CPU second",
            f"{rows / cpu:,.0f}",
            f"Faker, row by row: {naive:,.0f}",
            f"{rows / cpu / naive:.0f}x",
        ),
        ("peak memory of the generator", f"{peak:,.0f} MB", "", ""),
    ]


def landing(settings: Settings, days: int) -> list[tuple[str, str, str, str]]:
    """Wall time of landing one large file of events, beside the server's own COPY of the same bytes."""
    day = FOUNDED + timedelta(days=days)
    folder = settings.landing_zone / "events" / f"dt={day}"
    folder.mkdir(parents=True)
    large = folder / "events.jsonl"
    lines = b"".join(path.read_bytes() for path in sorted(settings.landing_zone.glob("events/*/*.jsonl")))
    large.write_bytes(lines)
    large.chmod(0o644)
    ours, servers, peaks = [], [], []
    with psycopg.connect(settings.admin_dsn(settings.database), autocommit=True) as admin:
        for _ in range(3):
            admin.execute("drop table if exists raw.events cascade; truncate raw.loads cascade")
            started = time.perf_counter()
            peaks.append(_cpu_of("data_gen/land.py", settings, "--day", str(day))[1])
            ours.append(time.perf_counter() - started)
            admin.execute("create table if not exists public.plain (doc jsonb not null); truncate public.plain")
            started = time.perf_counter()
            admin.execute(
                sql.SQL("copy public.plain from {} with (format csv, delimiter e'\\x01', quote e'\\x02')").format(
                    sql.Literal(str(large))
                )
            )
            servers.append(time.perf_counter() - started)
        admin.execute("drop table public.plain; drop table raw.events cascade; truncate raw.loads cascade")
    large.unlink()
    count = lines.count(b"\n")
    return [
        (
            f"landing {count:,} events, with the start of Python",
            f"{median(ours):.1f} s",
            f"COPY by the server: {median(servers):.1f} s",
            f"{median(ours) / median(servers):.2f}x",
        ),
        ("peak memory of landing it", f"{max(peaks):,.0f} MB", "", ""),
    ]


def building(settings: Settings, days: int) -> list[tuple[str, str, str, str]]:
    """Wall time of building the models: one more day, early and late in the history, beside a full refresh."""

    def build(*options: str) -> float:
        return _seconds(lambda: _run("-m", "infrastructure.transform", settings, "--quiet", "run", *options))

    early = days // 4

    def next_day(position: int) -> float:
        _run("data_gen/land.py", None, settings, "--day", str(FOUNDED + timedelta(days=position)))
        return build()

    _run("data_gen/land.py", None, settings, "--day", str(FOUNDED), "--days", str(early - 3))
    build()
    after_few = median(next_day(position) for position in range(early - 3, early))
    _run(
        "data_gen/land.py",
        None,
        settings,
        "--day",
        str(FOUNDED + timedelta(days=early)),
        "--days",
        str(days - early - 3),
    )
    build()
    after_many = median(next_day(position) for position in range(days - 3, days))
    nothing, full = build(), build("--full-refresh")
    return [
        (
            f"build of day {days}",
            f"{after_many:.1f} s",
            f"of day {early}: {after_few:.1f} s",
            f"{after_many / after_few:.2f}x",
        ),
        (f"build of day {days}", f"{after_many:.1f} s", f"full refresh: {full:.1f} s", f"{after_many / full:.2f}x"),
        ("build when nothing has landed (dbt's own time)", f"{nothing:.1f} s", "", ""),
    ]


def _naive_events(rows: int) -> list[dict[str, str]]:
    from faker import Faker

    faker = Faker()
    return [
        {
            "event_id": faker.uuid4(),
            "user_id": faker.uuid4(),
            "event_type": faker.word(),
            "event_timestamp": faker.iso8601(),
            "session_id": faker.uuid4(),
            "country": faker.country_code(),
            "platform": faker.random_element(["web", "ios", "android"]),
            "app_version": faker.numerify("#.#.#"),
        }
        for _ in range(rows)
    ]


def _run(script: str, module: str | None, settings: Settings, *arguments: str) -> None:
    command = [sys.executable, script, *([module] if module else []), *arguments]
    done = subprocess.run(
        command, cwd=PROJECT_ROOT, env=_environment(settings), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def _environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **settings.environment(), "DBT_LOG_PATH": str(settings.landing_zone.parent)}


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _cpu_of(script: str, settings: Settings, *arguments: str) -> tuple[float, float]:
    """CPU seconds (user and system) and peak resident megabytes of a command of its own."""
    measured = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:]\n"
        "code = 0\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "use = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(use.ru_utime + use.ru_stime, use.ru_maxrss / 1024); sys.exit(code)"
    )
    command = [sys.executable, "-c", measured, script, *arguments]
    done = subprocess.run(
        command, cwd=PROJECT_ROOT, env=_environment(settings), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    cpu, peak = done.stdout.split()[-2:]
    return float(cpu), float(peak)


if __name__ == "__main__":
    sys.exit(main())
