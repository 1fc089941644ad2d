"""Headless Chromium on a dashboard, for the tests and `make bench`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHART = ".dashboard-component-chart-holder"
DRAWN = "canvas, table, svg.datamap, .header-line"
# Every chart on the screen is drawn, and none waits for data.
_ALL_DRAWN = f"""
    () => {{
        const charts = [...document.querySelectorAll("{CHART}")].filter(
            (chart) => chart.getClientRects().length > 0
                && chart.getBoundingClientRect().top < window.innerHeight
        );
        return charts.length > 0 && charts.every(
            (chart) => !chart.querySelector(".loading, [data-test=loading-indicator]")
                && chart.querySelector("{DRAWN}, .ant-empty, .ant-alert, [role=alert]")
        );
    }}
"""
# Chromium has no sandbox for root. It only loads this machine's own Superset.
_ROOTS = "--no-sandbox"


def find_chromium() -> str | None:
    return (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser under a program's control, for which Superset draws all charts at once."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=[_ROOTS])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def persons_page(height: int = 1000) -> Iterator[Page]:
    """A page in a person's browser, for which Superset draws only the charts near the screen.

    A profile on disk keeps compiled scripts. It is new, and is removed after the block.
    """
    arguments = [_ROOTS, "--disable-blink-features=AutomationControlled"]
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory(prefix="chromium-") as profile,
    ):
        chromium = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=find_chromium(),
            args=arguments,
            viewport={"width": 1600, "height": height},
        )
        try:
            yield chromium.new_page()
        finally:
            chromium.close()


def log_in(page: Page, url: str, user: str, password: str) -> None:
    page.goto(f"{url}/login/")
    page.fill("#username", user)
    page.fill("#password", password)
    page.press("#password", "Enter")
    page.wait_for_url("**/dashboard/list/**", timeout=60_000)


def open_dashboard(page: Page, url: str, slug: str) -> None:
    """Open a dashboard and return when the charts on the screen are drawn."""
    page.goto(f"{url}/superset/dashboard/{slug}/")
    _wait_until_drawn(page)


def open_tabs(page: Page) -> None:
    """Open each tab of the open dashboard.

    A browser under a program's control keeps the charts of the other tabs.
    """
    for tab in page.locator(".dashboard-component-tabs [role=tab]").all():
        # A click that does not depend on the position: the page moves while charts are drawn.
        tab.evaluate("tab => tab.click()")
        expect(tab).to_have_attribute("aria-selected", "true")
        page.wait_for_selector(f".ant-tabs-tabpane-active {CHART}")
        _wait_until_drawn(page)


def troubles(page: Page) -> list[str]:
    """The message of each chart that failed or has no rows."""
    return page.locator(f"{CHART} :is(.ant-alert, .ant-empty, [role=alert])").all_inner_texts()


def _wait_until_drawn(page: Page) -> None:
    # Polling at each frame would slow the drawing.
    page.wait_for_function(_ALL_DRAWN, timeout=120_000, polling=50)
