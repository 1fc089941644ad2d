"""Lands the files that have arrived in incoming/: the first step of the micro-batch.

A file lands by the mapping of its folder: incoming/online_retail/export.csv by mapping.yaml in
incoming/online_retail or, without one, by saas_analytics/landing/mappings/online_retail.yaml.
Landed files are archived in processed/ in the same folder. Files that begin with a dot or end in
.part or .tmp are still being written.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from saas_analytics.console import fail
from saas_analytics.landing.display import Display
from saas_analytics.landing.errors import LandingError
from saas_analytics.landing.execution import land_files
from saas_analytics.landing.mapping import MAPPINGS
from saas_analytics.settings import PROJECT_ROOT, Settings

INCOMING = PROJECT_ROOT / "incoming"
MAPPING = "mapping.yaml"
_UNFINISHED = (".part", ".tmp")


def arrived(directory: Path) -> dict[Path, list[Path]]:
    """The mapping of each folder with waiting files, and these files, sorted by name."""
    waiting: dict[Path, list[Path]] = {}
    for folder in sorted(path for path in directory.glob("*") if path.is_dir()):
        files = [
            path
            for path in sorted(folder.iterdir())
            if path.is_file()
            and path.name != MAPPING
            and path.name[0] != "."
            and path.suffix not in _UNFINISHED
        ]
        if files:
            own = folder / MAPPING
            waiting[own if own.exists() else MAPPINGS / f"{folder.name}.yaml"] = files
    return waiting


def land_waiting(settings: Settings) -> int:
    """0 if all waiting files have landed. A file that cannot land stays, and is reported."""
    waiting = arrived(INCOMING)
    display = Display(sys.stdout)
    if not waiting:
        display.show(f"Nothing waits in {INCOMING}.")
    today = datetime.now(UTC).date()
    failed = False
    for mapping, files in waiting.items():
        started = time.monotonic()
        try:
            outcomes = land_files(settings, mapping, files, today, display)
        except LandingError as error:
            fail(str(error))
            failed = True
            continue
        display.show_summary(outcomes, time.monotonic() - started)
        failed |= any(outcome.status == "failed" for outcome in outcomes)
    return 1 if failed else 0
