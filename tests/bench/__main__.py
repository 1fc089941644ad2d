"""`make bench`: the cost of the main steps, each against a baseline in the same run.

Machines differ and are busy, so the ratios count. Only the detection of anomalies can fail, because
its result is the same on every machine: the exit code is 1 unless it is better than its baseline.

    python -m tests.bench [generator] [landing] [building] [orchestration] [anomalies] [dashboards]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from rich.console import Console
from rich.table import Table

PARTS = ("generator", "landing", "building", "orchestration", "anomalies", "dashboards")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "parts", nargs="*", choices=(*PARTS, []), help="what to measure (default: all)"
    )
    results = Table("what", "measured", "against", "ratio")
    try:
        for part in parser.parse_args(argv).parts or PARTS:
            print(f"{part} ...", file=sys.stderr, flush=True)
            for row in import_module(f"tests.bench.{part}").measure():
                results.add_row(*row)
    finally:
        if results.row_count:
            Console().print(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
