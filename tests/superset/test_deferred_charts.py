"""The requests of a person's browser.

Playwright has one browser at a time, so this is not in test_browser.py.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.superset.assets import ASSETS, charts_of
from tests.superset.browser import (
    DRAWN,
    find_chromium,
    log_in,
    open_dashboard,
    open_tabs,
    persons_page,
)
from tests.superset.conftest import Superset


@pytest.mark.skipif(
    find_chromium() is None, reason="there is no Chromium on this machine: apt-get install chromium"
)
def test_a_persons_browser_loads_the_rows_of_a_chart_when_it_comes_near(
    superset: Superset,
) -> None:
    """Charts far below the screen or in a closed tab load nothing; later they are drawn."""
    asked: list[str] = []
    with persons_page(height=350) as page:
        log_in(page, superset.url, "viewer", superset.password("viewer"))
        page.on(
            "request",
            lambda request: asked.append(request.url) if "slice_id" in request.url else None,
        )
        open_dashboard(page, superset.url, "operations-and-data-quality")
        dashboard = ASSETS.dashboards["operations-and-data-quality"]
        assert 0 < len(asked) < len(charts_of(dashboard)) / 2
        chart = page.locator("[data-test-chart-name='Failed payments by method']")
        expect(chart.locator(DRAWN)).to_have_count(0)
        chart.scroll_into_view_if_needed()
        expect(chart.locator(DRAWN).first).to_be_visible(timeout=60_000)
        open_tabs(page)
        tile = page.locator("[data-test-chart-name='Tests passed'] .header-line")
        expect(tile).to_be_visible(timeout=60_000)
