"""What the generator costs: rows per CPU second against Faker, memory, and a day after a year."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 11, 18)  # a Wednesday without holiday, launch or outage
YOUNG, OLD = DAY, DAY - timedelta(days=365)  # foundings
Measured = tuple[float, float, int, int]


def measure() -> list[tuple[str, str, str, str]]:
    """What, measured, compared with, ratio.

    A CPU second is user and system of the whole process, with its start and imports.
    """
    faker_rows = 4000
    started = time.process_time()
    naive_events(faker_rows)
    naive = faker_rows / (time.process_time() - started)
    with tempfile.TemporaryDirectory(prefix="generator-bench-") as modules:
        run(OLD, "0.01", modules)  # compiles the modules, which only the first run has to do
        year = median_of(OLD, "12", modules)
        first = median_of(YOUNG, equal_scale(year[3], modules), modules)
        million = median_of(OLD, "28", modules)
    return [
        *(rows_per_second(day, naive) for day in (year, million)),
        (
            f"CPU of a day after a year, {year[3]:,} events (target: at most 1.1x)",
            f"{year[0]:.2f} s",
            f"of the first day, {first[3]:,} events: {first[0]:.2f} s",
            f"{year[0] / first[0]:.2f}x",
        ),
        (
            "the same per row of all sources",
            f"{year[0] / year[2] * 1e6:.2f} us",
            f"first day: {first[0] / first[2] * 1e6:.2f} us",
            f"{year[0] / year[2] / (first[0] / first[2]):.2f}x",
        ),
        (
            f"peak memory of a day of {million[3]:,} events (target: under 400 MB)",
            f"{million[1]:,.0f} MB",
            f"of {year[3]:,} events: {year[1]:,.0f} MB",
            f"{million[1] / year[1]:.2f}x",
        ),
    ]


def rows_per_second(day: Measured, naive: float) -> tuple[str, str, str, str]:
    cpu, _, rows, events = day
    return (
        "rows per CPU second, all sources, defects and ground truth: "
        f"{rows:,} rows, {events:,} events (target: 500,000)",
        f"{rows / cpu:,.0f}",
        f"Faker, row by row: {naive:,.0f}",
        f"{rows / cpu / naive:.0f}x",
    )


def equal_scale(events: int, modules: str) -> str:
    """The scale at which a company's first day has about as many events."""
    sample = 100
    return f"{sample * events / run(YOUNG, str(sample), modules)[3]:.2f}"


def median_of(founded: date, scale: str, modules: str, times: int = 3) -> Measured:
    runs = [run(founded, scale, modules) for _ in range(times)]
    return (median(r[0] for r in runs), max(r[1] for r in runs), runs[0][2], runs[0][3])


def run(founded: date, scale: str, modules: str) -> Measured:
    """CPU seconds, peak megabytes, rows of all files, and events, of a run in its own process.

    Python keeps its compiled modules in the directory `modules`.
    """
    with tempfile.TemporaryDirectory(prefix="generator-bench-") as place:
        command = [
            sys.executable,
            "data_gen/generate.py",
            "--day",
            str(DAY),
            "--scale",
            scale,
            "--seed",
            "42",
            "--out",
            place,
        ]
        environment = {
            **os.environ,
            "COMPANY_FOUNDED": str(founded),
            "PYTHONPYCACHEPREFIX": modules,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    rows = {words[0]: int(words[2].replace(",", "")) for words in map(str.split, lines)}
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, sum(rows.values()), rows["events"]


def naive_events(rows: int) -> list[dict[str, str]]:
    """Events made the obvious way: Faker for each value of each row."""
    from faker import Faker

    faker = Faker()
    return [
        {
            "event_id": faker.uuid4(),
            "user_id": f"u{faker.random_int(0, 999_999):06d}",
            "event_type": faker.random_element(["page_view", "search", "login", "export_run"]),
            "event_timestamp": faker.iso8601(),
            "received_at": faker.iso8601(),
            "session_id": faker.uuid4(),
            "device": faker.random_element(["desktop", "mobile", "tablet"]),
            "platform": faker.random_element(["web", "ios", "android"]),
            "app_version": faker.numerify("#.#.#"),
            "country": faker.country_code(),
        }
        for _ in range(rows)
    ]


if __name__ == "__main__":
    for row in measure():
        print(" | ".join(row))
