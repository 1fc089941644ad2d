"""Lands the files that have arrived in incoming/: what the micro-batch does before it builds.

    python -m saas_analytics.pipeline.incoming

A file belongs to the mapping that its folder is named after: incoming/online_retail/export.csv lands by
incoming/online_retail/mapping.yaml, or, without one, by saas_analytics/landing/mappings/online_retail.yaml. Landed files go to
processed/ beside them. Files that begin with a dot or end in .part or .tmp are still being written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from data_gen import land
from saas_analytics.settings import PROJECT_ROOT

INCOMING = PROJECT_ROOT / "incoming"
MAPPING = "mapping.yaml"
_UNFINISHED = (".part", ".tmp")


def arrived(directory: Path) -> dict[Path, list[Path]]:
    """The mapping of each folder with files that wait, and those files, in the order of their names."""
    waiting: dict[Path, list[Path]] = {}
    for folder in sorted(path for path in directory.glob("*") if path.is_dir()):
        files = [
            path
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name != MAPPING and path.name[0] != "." and path.suffix not in _UNFINISHED
        ]
        if files:
            own = folder / MAPPING
            waiting[
                own if own.exists() else PROJECT_ROOT / "saas_analytics/landing/mappings" / f"{folder.name}.yaml"
            ] = files
    return waiting


def main(argv: Sequence[str] | None = None) -> int:
    """0 when everything that waits has landed. What cannot land stays where it is, and is told."""
    parser = argparse.ArgumentParser(
        prog="python -m saas_analytics.pipeline.incoming", description=__doc__.splitlines()[0]
    )
    parser.parse_args(argv)
    waiting = arrived(INCOMING)
    if not waiting:
        print(f"Nothing waits in {INCOMING}.")
    today = datetime.now(UTC).date().isoformat()
    codes = [
        land.main(["--day", today, "--mapping", str(mapping), *map(str, files)]) for mapping, files in waiting.items()
    ]
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
