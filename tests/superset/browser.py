"""Headless Chromium on a dashboard, for the tests and `make bench`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHART = ".dashboard-component-chart-holder"
DRAWN = "canvas, table, svg.datamap, .header-line"
# Every chart on the screen has its picture, and none waits for data.
_ALL_DRAWN = f"""
    () => {{
        const charts = [...document.querySelectorAll("{CHART}")].filter(
            (chart) => chart.getClientRects().length > 0 && chart.getBoundingClientRect().top < window.innerHeight
        );
        return charts.length > 0 && charts.every(
            (chart) => !chart.querySelector(".loading, [data-test=loading-indicator]")
                && chart.querySelector("{DRAWN}, .ant-empty, .ant-alert, [role=alert]")
        );
    }}
"""
# Root may not have Chromium's sandbox; all that it loads is this machine's own Superset.
_ROOTS = "--no-sandbox"


def find_chromium() -> str | None:
    return (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that is steered by a program; for such a one Superset draws all charts at once."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=[_ROOTS])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def persons_page(height: int = 1000) -> Iterator[Page]:
    """A page of a browser as a person has it: Superset draws the charts near the screen, and a profile on disk keeps
    compiled scripts. The profile is new, and goes with the block.
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
    """Open each tab of the dashboard that is open; a browser that is steered keeps the charts of the others."""
    for tab in page.locator(".dashboard-component-tabs [role=tab]").all():
        tab.evaluate(
            "tab => tab.click()"
        )  # wherever it is: the page moves while its charts are drawn
        expect(tab).to_have_attribute("aria-selected", "true")
        page.wait_for_selector(f".ant-tabs-tabpane-active {CHART}")
        _wait_until_drawn(page)


def troubles(page: Page) -> list[str]:
    """What each chart says that has no picture, as it failed or has no rows."""
    return page.locator(f"{CHART} :is(.ant-alert, .ant-empty, [role=alert])").all_inner_texts()


def _wait_until_drawn(page: Page) -> None:
    page.wait_for_function(
        _ALL_DRAWN, timeout=120_000, polling=50
    )  # at each frame the asking would slow the drawing
