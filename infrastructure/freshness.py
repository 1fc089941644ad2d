"""How long ago each source landed, by the limits in dbt's sources: printed, and kept in quality.source_freshness.

python -m infrastructure.freshness

A stale source is told, and stops nothing: what did land is to be seen. A source of which nothing has ever landed is one
that this warehouse does not use.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from infrastructure.alerts import raise_alert, settle_alert
from infrastructure.settings import Settings, SettingsError, load_settings
from infrastructure.transform import run_dbt, run_id_of_process, target_path
from infrastructure.warehouse import WarehouseError, connect


def check_freshness(settings: Settings) -> list[dict[str, Any]]:
    """Ask dbt, keep the answer, and return it: `source`, `age_hours`, `limit_hours` and `is_stale` of each source."""
    path = target_path(settings) / "sources.json"
    path.unlink(missing_ok=True)  # so that what is read is what this dbt wrote
    result = run_dbt(settings, ["--quiet", "source", "freshness"])
    if not path.exists():
        raise WarehouseError(f"dbt source freshness wrote no {path}: {result.exception}")
    answers = [_answer(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["results"]]
    used = [answer for answer in answers if answer["age_hours"] is not None]
    run_id = run_id_of_process()
    with connect(settings, "transformer", application_name="freshness") as warehouse:
        warehouse.execute("delete from quality.source_freshness where run_id = %s", [run_id])
        warehouse.cursor().executemany(_WRITE, [{**answer, "run_id": run_id} for answer in used])
    return used


def _answer(entry: dict[str, Any]) -> dict[str, Any]:
    limit = (entry.get("criteria") or {}).get("error_after") or {}
    age = entry.get("max_loaded_at_time_ago_in_s")
    # Where nothing has landed, dbt gives an error without a time, or counts from the year 1.
    landed = age is not None and not str(entry.get("max_loaded_at", "")).startswith("0001-")
    return {
        "source": entry["unique_id"].rpartition(".")[2],
        "age_hours": round(float(age or 0) / 3600, 2) if landed else None,
        "limit_hours": (limit.get("count") or 0) * _HOURS[limit.get("period") or "hour"] or None,
        "is_stale": entry["status"] == "error",
    }


_CAUSE = "stale sources"
_HOURS = {"minute": 1 / 60, "hour": 1, "day": 24}
_WRITE = """
insert into quality.source_freshness (run_id, source, age_hours, limit_hours, is_stale)
values (%(run_id)s, %(source)s, %(age_hours)s, %(limit_hours)s, %(is_stale)s)
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infrastructure.freshness", description=__doc__.splitlines()[0])
    parser.parse_args(argv)
    try:
        settings = load_settings()
        answers = check_freshness(settings)
    except (SettingsError, WarehouseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    stale = [
        f"{answer['source']} landed {answer['age_hours']} hours ago; {answer['limit_hours']} are allowed"
        for answer in answers
        if answer["is_stale"]
    ]
    if stale:
        print("\n".join(f"stale: {text}" for text in stale))
        raise_alert(settings, _CAUSE, "\n".join(stale))
    else:
        print("Every source that this warehouse uses is fresh.")
        settle_alert(settings, _CAUSE, "Every source has landed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
