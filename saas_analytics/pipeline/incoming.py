"""Lands the files that have arrived in incoming/: the first step of the micro-batch.

A file lands by the mapping of its folder: incoming/online_retail/export.csv by mapping.yaml in
incoming/online_retail or, without one, by saas_analytics/landing/mappings/online_retail.yaml.
Landed files are archived in processed/ in the same folder.

A file that is still being written is left alone: it was written to within the last
INCOMING_SETTLE_SECONDS, or its name begins with a dot or ends in .part or .tmp. An empty file with
its name and .done says that it is complete. Names that begin with _, such as _SUCCESS, are not
data.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
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
DONE = ".done"
_NO_DATA = (".part", ".tmp", DONE)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The files in incoming/: those of each mapping that can land, and those still being written.

    Files are sorted by name.
    """

    complete: dict[Path, list[Path]]
    unfinished: list[Path]


def arrived(directory: Path, settle_seconds: float) -> Waiting:
    """The files in the folders of `directory`. Files that vanish meanwhile are skipped."""
    waiting = Waiting({}, [])
    for folder in sorted(path for path in directory.glob("*") if path.is_dir()):
        files = []
        for path in sorted(folder.iterdir()):
            no_data = path.name == MAPPING or path.name[0] in "._" or path.suffix in _NO_DATA
            if no_data or not path.is_file():
                continue
            with suppress(FileNotFoundError):
                if _marker(path).exists() or time.time() - path.stat().st_mtime >= settle_seconds:
                    files.append(path)
                else:
                    waiting.unfinished.append(path)
        if files:
            own = folder / MAPPING
            waiting.complete[own if own.exists() else MAPPINGS / f"{folder.name}.yaml"] = files
    return waiting


def _marker(path: Path) -> Path:
    return path.with_name(path.name + DONE)


def land_waiting(settings: Settings) -> int:
    """0 if all complete files have landed. A file that cannot land stays, and is reported."""
    waiting = arrived(INCOMING, settings.incoming_settle_seconds)
    display = Display(sys.stdout)
    for path in waiting.unfinished:
        display.show(
            f"{path} waits: it was written to less than {settings.incoming_settle_seconds} s ago."
        )
    if not waiting.complete:
        display.show(f"Nothing in {INCOMING} can land now.")
    today = datetime.now(UTC).date()
    failed = False
    for mapping, files in waiting.complete.items():
        started = time.monotonic()
        try:
            outcomes = land_files(settings, mapping, files, today, display)
        except LandingError as error:
            fail(str(error))
            failed = True
            continue
        for path in files:
            if not path.exists():  # it is in processed/ now
                _marker(path).unlink(missing_ok=True)
        display.show_summary(outcomes, time.monotonic() - started)
        failed |= any(outcome.status == "failed" for outcome in outcomes)
    return 1 if failed else 0
