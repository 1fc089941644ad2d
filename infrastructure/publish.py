"""The last task of the pipeline: keeps a summary of the run in quality.pipeline_runs, and prints it.

python -m infrastructure.publish --day YYYY-MM-DD
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from infrastructure.kpis import newest_kpis
from infrastructure.settings import Settings, SettingsError, load_settings
from infrastructure.transform import target_path
from infrastructure.warehouse import WarehouseError, connect


def publish(settings: Settings, day: date) -> dict[str, Any]:
    """Write one row about `day` to quality.pipeline_runs and return its summary."""
    with connect(settings, "transformer", application_name="publish") as warehouse:
        summary = {
            "day": day,
            "landed": _landed(warehouse, day),
            "dbt": dbt_results(target_path(settings)),
            "kpis": asdict(newest_kpis(settings)),
        }
        # Dates and decimals as text, so that not a digit is lost.
        plain: dict[str, Any] = json.loads(json.dumps(summary, default=str))
        warehouse.execute("insert into quality.pipeline_runs (day, summary) values (%s, %s)", [day, Jsonb(plain)])
    return plain


def dbt_results(target: Path) -> dict[str, dict[str, int]]:
    """How many models and tests of dbt's last run ended how: {'model': {'success': 33}, 'test': {'pass': 120}}."""
    path = target / "run_results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
    except FileNotFoundError:
        raise WarehouseError(f"{path} does not exist: dbt has not run here. Run `make dbt-build`.") from None
    counts: dict[str, Counter[str]] = {}
    for result in results:
        kind = result["unique_id"].partition(".")[0]
        counts.setdefault(kind, Counter())[result["status"]] += 1
    return {kind: dict(states) for kind, states in counts.items()}


def _landed(warehouse: psycopg.Connection, day: date) -> list[dict[str, Any]]:
    with warehouse.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select source, sum(rows_landed)::bigint as rows_landed, sum(rows_rejected)::bigint as rows_rejected
            from raw.loads
            where landed_on = %s and superseded_by is null
            group by source
            order by source
            """,
            [day],
        ).fetchall()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infrastructure.publish", description=__doc__.splitlines()[0])
    parser.add_argument("--day", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    arguments = parser.parse_args(argv)
    try:
        summary = publish(load_settings(), arguments.day)
    except (SettingsError, WarehouseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
