"""How long a dashboard takes to open in headless Chromium: the first time, and again.

First: a browser with nothing of Superset but its login, and an empty cache of answers. Warm: the
same page three more times, each when the previous one has no open requests. A dashboard is open
when the last chart on the screen is drawn; the medians of three browsers count. DASHBOARD_DAYS and
BENCH_SCALE make the history longer or the company larger.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from saas_analytics.warehouse import ensure_warehouse
from tests.server import running_server
from tests.superset.assets import ASSETS
from tests.superset.browser import find_chromium, log_in, open_dashboard, persons_page, troubles
from tests.superset.conftest import Superset, build_history, running_superset

DAYS = int(os.environ.get("DASHBOARD_DAYS", "365"))
SCALE = float(os.environ.get("BENCH_SCALE", "0.15"))
FIRST_LIMIT, WARM_LIMIT = 6.0, 3.0
TIMES = 3


def measure() -> list[tuple[str, str, str, str]]:
    """Rows of: what was measured, the result, the baseline, and the ratio."""
    if find_chromium() is None:
        return [("dashboards", "not measured", "no Chromium here: apt-get install chromium", "")]
    with (
        tempfile.TemporaryDirectory(prefix="bench-dashboards-") as place,
        running_server() as server,
    ):
        settings = replace(
            server,
            root=Path(place),
            database="dashboards",
            landing_zone=Path(place) / "raw",
            company_scale=SCALE,
            company_founded=datetime.now(UTC).date() - timedelta(days=DAYS),
        )
        ensure_warehouse(settings)
        build_history(settings, DAYS)
        with running_superset(settings) as superset:
            return opening_times(superset)


def opening_times(superset: Superset) -> list[tuple[str, str, str, str]]:
    """One row for the slowest first load of a dashboard, and one for the slowest warm load."""
    first: dict[str, list[float]] = {slug: [] for slug in ASSETS.dashboards}
    warm: dict[str, list[float]] = {slug: [] for slug in ASSETS.dashboards}
    for slug in [*ASSETS.dashboards] * TIMES:
        shutil.rmtree(superset.settings.root / ".local/superset/cache", ignore_errors=True)
        with persons_page() as page:
            log_in(page, superset.url, "viewer", superset.password("viewer"))
            for times in (first, warm, warm, warm):
                page.wait_for_load_state("networkidle")
                started = time.monotonic()
                open_dashboard(page, superset.url, slug)
                times[slug].append(time.monotonic() - started)
                if failed := troubles(page):
                    raise SystemExit(
                        f"{slug} was not measured, because charts are not drawn: {failed}"
                    )
    for slug in ASSETS.dashboards:
        print(
            f"  {slug}: first {median(first[slug]):.1f} s, warm {median(warm[slug]):.1f} s",
            file=sys.stderr,
        )
    rows = []
    for text, times, limit in (("first", first, FIRST_LIMIT), ("warm", warm, WARM_LIMIT)):
        seconds, slug = max((median(each), slug) for slug, each in times.items())
        what = f"slowest dashboard, {text} load, {DAYS} days of a company of scale {SCALE}: {slug}"
        rows.append((what, f"{seconds:.1f} s", f"bound: {limit:.0f} s", f"{seconds / limit:.2f}x"))
    return rows
