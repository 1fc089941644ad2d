"""The data-quality report as one HTML page, for light and dark screens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saas_analytics.quality.rendering import render

Row = Mapping[str, Any]


def page(sections: Mapping[str, Sequence[Row]]) -> str:
    """The page of the sections that `quality_report.report` returns, as plain JSON values."""
    (run,) = sections["run"]
    volumes = [
        {"source": row["source"], "rows_today": row["days"][-1][1], "six_weeks": row["days"]}
        for row in sections["volumes"]
    ]
    freshness = [
        {**row, "status": "stale" if row["is_stale"] else "fresh"} for row in sections["freshness"]
    ]
    shown = {**sections, "run": run, "volumes": volumes, "freshness": freshness}
    return render("quality.html.j2", **shown)
