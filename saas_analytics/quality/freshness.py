"""How long ago each source landed, against the limits in dbt's sources.

The result is printed and kept in quality.source_freshness. A stale source is reported, and fails
nothing. A source without any load is not used by this warehouse, so it is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from saas_analytics.pipeline.dbt_project import target_path
from saas_analytics.pipeline.masking import masked_text
from saas_analytics.pipeline.run_id import run_id_of_process
from saas_analytics.pipeline.transform import run_dbt
from saas_analytics.quality.alerts import open_causes, raise_alerts, resolve_alerts
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect


def check_freshness(settings: Settings) -> list[dict[str, Any]]:
    """Measure the freshness of each used source with dbt, store it and return it.

    Each item has `source`, `age_hours`, `limit_hours` (None for no limit) and `is_stale`.
    WarehouseError if dbt could not measure a source.
    """
    path = target_path(settings) / "sources.json"
    path.unlink(missing_ok=True)  # so that no older result is read
    outcome = run_dbt(settings, ["--quiet", "source", "freshness"])
    if not path.exists():
        raise WarehouseError(f"dbt source freshness wrote no {path}: {outcome.error}")
    entries = json.loads(path.read_text(encoding="utf-8"))["results"]
    measured = {entry["unique_id"] for entry in entries}
    unknown = [
        f"{end.node}: {masked_text(end.message)}"
        for end in outcome.nodes
        if end.status != "success" and end.node not in measured  # the file has no errors
    ]
    if unknown or not entries:
        raise WarehouseError(
            f"dbt could not measure how fresh the sources of warehouse {settings.database} are:\n"
            + "\n".join(unknown or ["It queried no source. The lines above say why."])
            + "\nCheck that the server is up (`make status`), and then `loaded_at_query` of these "
            "sources in dbt/models/staging/_staging__sources.yml."
        )
    answers = [_answer(entry) for entry in entries]
    used = [answer for answer in answers if answer["age_hours"] is not None]
    run_id = run_id_of_process()
    with connect(settings, "transformer", application_name="freshness") as warehouse:
        warehouse.execute("delete from quality.source_freshness where run_id = %s", [run_id])
        warehouse.cursor().executemany(_WRITE, [{**answer, "run_id": run_id} for answer in used])
    return used


def _answer(entry: dict[str, Any]) -> dict[str, Any]:
    limit = (entry.get("criteria") or {}).get("error_after") or {}
    # dbt counts from the year 1 if nothing has landed.
    landed = not entry["max_loaded_at"].startswith("0001-")
    hours = round(float(entry["max_loaded_at_time_ago_in_s"]) / 3600, 2)
    return {
        "source": entry["unique_id"].rpartition(".")[2],
        "age_hours": hours if landed else None,
        "limit_hours": (limit.get("count") or 0) * _HOURS[limit.get("period") or "hour"] or None,
        "is_stale": entry["status"] == "error",
    }


_CAUSE = "stale source "
_HOURS = {"minute": 1 / 60, "hour": 1, "day": 24}
_WRITE = """
insert into quality.source_freshness (run_id, source, age_hours, limit_hours, is_stale)
values (%(run_id)s, %(source)s, %(age_hours)s, %(limit_hours)s, %(is_stale)s)
"""


def report_stale_sources(
    settings: Settings, answers: Sequence[dict[str, Any]], *, quiet: bool = False
) -> None:
    """Print the stale sources (not if `quiet`). Raise and resolve their alerts."""
    stale = {
        f"{_CAUSE}{answer['source']}": (
            f"{answer['source']} landed {answer['age_hours']} hours ago; "
            f"{answer['limit_hours']} are allowed"
        )
        for answer in answers
        if answer["is_stale"]
    }
    if stale:
        if not quiet:
            print("\n".join(f"stale: {text}" for text in stale.values()))
        raise_alerts(settings, "stale sources", stale)
    elif not quiet:
        print("Every source that this warehouse uses is fresh.")
    fresh = [cause for cause in open_causes(settings, _CAUSE) if cause not in stale]
    names = ", ".join(cause.removeprefix(_CAUSE) for cause in fresh)
    resolve_alerts(settings, "stale sources", fresh, f"Fresh again: {names}.")
