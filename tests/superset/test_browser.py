"""Each dashboard in a browser: every chart is drawn, without errors or requests to others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Page, Request, Response, expect

from tests.superset.assets import ASSETS, charts_of
from tests.superset.browser import (
    CHART,
    DRAWN,
    browser,
    find_chromium,
    log_in,
    open_dashboard,
    open_tabs,
    troubles,
)
from tests.superset.conftest import Superset

COLOURS = re.compile(r"/api/v1/dashboard/\d+/colors\b")

if find_chromium() is None:
    pytest.skip(
        "there is no Chromium on this machine: apt-get install chromium", allow_module_level=True
    )


@pytest.fixture(scope="module")
def page(superset: Superset) -> Iterator[Page]:
    with browser() as chromium:
        # As high as a dashboard: the tests wait for the charts on the screen.
        page = chromium.new_page(viewport={"width": 1600, "height": 3200})
        log_in(page, superset.url, "viewer", superset.password("viewer"))
        yield page


@pytest.mark.parametrize("slug", ASSETS.dashboards)
def test_every_chart_of_a_dashboard_is_drawn(
    superset: Superset, page: Page, slug: str, tmp_path: Path
) -> None:
    left: list[Request] = []
    errors: list[str] = []
    failed: list[Request] = []

    def on_request(request: Request) -> None:
        if urlsplit(request.url).scheme in ("http", "https") and not request.url.startswith(
            superset.url
        ):
            left.append(request)

    def on_response(response: Response) -> None:
        if response.status >= 400 and not COLOURS.search(response.url):
            errors.append(f"{response.status} {response.url}")

    page.on("request", on_request)
    page.on("requestfailed", lambda request: failed.append(request))
    # A viewer's browser sends the colours of its labels, and Superset refuses to store them.
    page.on(
        "pageerror", lambda error: errors.append(str(error)) if str(error) != "Response" else None
    )
    page.on("response", on_response)
    open_dashboard(page, superset.url, slug)
    page.screenshot(path=tmp_path / f"{slug}.png")
    open_tabs(page)
    page.screenshot(path=tmp_path / f"{slug}-last-tab.png")
    count = len(charts_of(ASSETS.dashboards[slug]))
    assert page.locator(CHART).count() == count
    assert page.locator(CHART).filter(has=page.locator(DRAWN)).count() == count
    assert troubles(page) == []
    # Superset's pages have a tracking pixel, which the policy keeps the browser from loading.
    assert errors == []
    assert set(map(id, left)) <= set(map(id, failed)), [request.url for request in left]
    assert all("csp" in (request.failure or "").lower() for request in left), [
        request.failure for request in left
    ]


def test_charts_are_drawn_once(superset: Superset, page: Page) -> None:
    """Without animation, as the theme in Superset's pages says."""
    open_dashboard(page, superset.url, "revenue")
    themes = page.evaluate(
        "JSON.parse(document.querySelector('#app').dataset.bootstrap).common.theme"
    )
    for which in ("default", "dark"):
        assert themes[which]["echartsOptionsOverrides"] == {"animation": False}
        assert themes[which]["token"]["colorPrimary"]  # the rest comes from Superset


def test_a_filter_that_is_set_narrows_the_charts(
    superset: Superset, page: Page, owner: psycopg.Connection
) -> None:
    countries = "select country, count(*) from marts.customer_summary group by 1 order by 2 desc"
    counts: dict[str, int] = dict(owner.execute(countries).fetchall())
    country = next(iter(counts))
    open_dashboard(page, superset.url, "customers-and-products")
    tile = page.locator("[data-test-chart-name=Customers] .header-line")
    expect(tile).to_have_text(f"{sum(counts.values()):,d}")
    page.locator("#NATIVE_FILTER-country").click()
    page.get_by_title(country, exact=True).click()
    page.locator("[data-test=filter-bar__apply-button]").click()
    expect(tile).to_have_text(f"{counts[country]:,d}", timeout=60_000)
    expect(page.locator(f"{CHART} :is(.ant-alert, [role=alert])")).to_have_count(0)
    assert len(counts) > 1
