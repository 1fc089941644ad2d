"""What building the models costs: one more day, early and late in the history, beside a full refresh."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from infrastructure.settings import PROJECT_ROOT, Settings
from tests.server import running_server

FOUNDED = date(2026, 1, 1)


def measure(days: int = 60, scale: float = 2.0) -> list[tuple[str, str, str, str]]:
    """What was measured, the result, what stands beside it, and the ratio."""
    with tempfile.TemporaryDirectory(prefix="bench-building-") as place, running_server() as server:
        zone = Path(place) / "raw"
        settings = replace(server, landing_zone=zone, company_scale=scale, company_founded=FOUNDED)
        _run(settings, "data_gen/generate.py", "--day", str(FOUNDED), "--days", str(days))
        early = days // 4
        _land(settings, 0, early - 3)
        _build(settings)
        after_few = median(_next_day(settings, position) for position in range(early - 3, early))
        _land(settings, early, days - early - 3)
        _build(settings)
        after_many = median(_next_day(settings, position) for position in range(days - 3, days))
        nothing, full = _build(settings), _build(settings, "--full-refresh")
    return [
        (
            f"build of day {days}",
            f"{after_many:.1f} s",
            f"of day {early}: {after_few:.1f} s",
            f"{after_many / after_few:.2f}x",
        ),
        (f"build of day {days}", f"{after_many:.1f} s", f"full refresh: {full:.1f} s", f"{after_many / full:.2f}x"),
        ("build when nothing has landed", f"{nothing:.1f} s", "all of it dbt's own time", ""),
    ]


def _next_day(settings: Settings, position: int) -> float:
    _land(settings, position, 1)
    return _build(settings)


def _land(settings: Settings, position: int, days: int) -> None:
    first = FOUNDED + timedelta(days=position)
    _run(settings, "data_gen/land.py", "--day", str(first), "--days", str(days))


def _build(settings: Settings, *options: str) -> float:
    """Seconds of wall time of dbt's run, its start included."""
    command = ("build", "--resource-type", "model", "--resource-type", "seed")  # no tests
    started = time.perf_counter()
    _run(settings, "-m", "infrastructure.transform", "--quiet", *command, *options)
    return time.perf_counter() - started


def _run(settings: Settings, *arguments: str) -> None:
    environment = {**os.environ, **settings.environment()}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
