"""Helpers of the tests of landing: deliver files, land them, and query the result."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from saas_analytics.contracts import SOURCES, load_contract
from saas_analytics.landing.execution import prepare
from saas_analytics.landing.external import land_file
from saas_analytics.landing.mapping import load_mappings
from saas_analytics.landing.outcome import Outcome
from saas_analytics.landing.zone import land_day
from saas_analytics.settings import PROJECT_ROOT, Settings
from saas_analytics.warehouse import connect
from tests.waiting import patience

DAY = date(2026, 1, 5)
DATA = PROJECT_ROOT / "tests" / "data"
MAPPINGS = PROJECT_ROOT / "saas_analytics/landing/mappings"
LONG = os.environ.get("LONG") == "1"  # as many repetitions as promised; otherwise fewer


def deliver(settings: Settings, name: str, content: bytes, day: date = DAY) -> Path:
    """Put a file into the landing zone; its name begins with the source's."""
    directory = settings.landing_zone / name.partition(".")[0] / f"dt={day}"
    directory.mkdir(parents=True, exist_ok=True)
    return put(directory, name, content)


def put(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def land(settings: Settings, source: str, day: date = DAY) -> Outcome:
    """Land a source and day of the landing zone, in this process."""
    prepare(settings)
    with connect(settings, "loader", autocommit=True) as connection:
        return land_day(connection, load_contract(source), day, settings.landing_zone)


def land_external(
    settings: Settings,
    mapping: Path,
    path: Path,
    day: date = DAY,
    *,
    new: bool = False,
    keep: bool = False,
) -> list[Outcome]:
    """Land an external file, in this process."""
    prepare(settings)
    with connect(settings, "loader", autocommit=True) as connection:
        return land_file(connection, load_mappings(mapping), path, day, new=new, keep=keep)


def query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.dsn("owner")) as connection:
        return connection.execute(statement).fetchall()


# The result of landing, except load numbers, times, and deliveries that later ones have replaced.
_STATE = {
    "live loads": "select source, landed_on, delivered_on, origin, name, files, rows_read,"
    " rows_landed, rows_rejected, rows_left_out from raw.loads where superseded_by is null"
    " order by source, landed_on, origin, name",
    "days": "select source, event_day, sum(rows_brought) - sum(rows_taken_away)"
    " from raw.touched_days"
    " group by 1, 2 having sum(rows_brought) <> sum(rows_taken_away) order by 1, 2",
    "rejects": "select rejects.source, rejects.landed_on, file, line, reason, original"
    " from raw.rejects join raw.loads using (load_id) where superseded_by is null"
    " order by 1, 2, 3, 4",
    "drift": "select * from quality.schema_drift order by 1, 2, 3",
    "tables": "select regexp_replace(relname, '_l[0-9]+$', '') from pg_class"
    " where relnamespace = 'raw'::regnamespace and relkind in ('r', 'p') order by 1",
    **{
        source: "select _partition, count(*),"
        " md5(string_agg((to_jsonb(t) - '_load_id')::text, ',' order by _file, _line))"
        f" from raw.{source} as t group by 1 order by 1"
        for source in SOURCES
    },
}


def state(settings: Settings) -> dict[str, Any]:
    """The state after landing that must not depend on the order of the landings."""
    return {name: query(settings, statement) for name, statement in _STATE.items()}


# Without this cache, compiling modules takes half of the time of a small landing.
_COMPILED = tempfile.TemporaryDirectory(prefix="landing-compiled-")


def command(settings: Settings, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run land.py with these arguments, as a shell does."""
    return subprocess.run(
        [sys.executable, "data_gen/land.py", *map(str, arguments)],
        cwd=PROJECT_ROOT,
        env={
            **os.environ,
            **settings.environment(),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": _COMPILED.name,
        },
        capture_output=True,
        text=True,
        timeout=patience(300),
    )


def statuses(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]
