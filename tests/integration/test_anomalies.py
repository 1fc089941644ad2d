"""Anomalies in a warehouse: measured as the files say, kept once, alerted once, and resolved."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import psycopg
import pytest

from data_gen.faults import Fault, inject
from saas_analytics.quality.anomalies import find_anomalies
from saas_analytics.settings import Settings
from tests.bench.anomalies import figures_of_day, generate_clean
from tests.warehouse.conftest import land

FIRST = date(2026, 1, 5)
DAYS = [FIRST + timedelta(days=after) for after in range(27)]
LATE, LAST = DAYS[-2], DAYS[-1]
SOURCES = ["events", "orders", "order_items", "ad_spend"]
FAULTS = [
    Fault("late", "events", LATE, 1),
    Fault("null_drift", "orders", LATE, 1, "shipping_country"),
    Fault("unit_change", "ad_spend", LAST, 1, "spend"),
]


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four weeks of four sources, with faults on the last two days."""
    place = tmp_path_factory.mktemp("anomalies")
    generate_clean(place / "clean", 5, DAYS, Fraction(1, 10))
    for directory in (place / "clean").iterdir():
        if directory.name not in SOURCES:
            shutil.rmtree(directory)
    inject(place / "clean", place / "faulty", FAULTS)
    return place / "faulty"


ANOMALIES = (
    "select day, metric, value, expected, lower, upper, score, reason from quality.anomalies"
)


def kept(settings: Settings, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(settings.dsn("transformer")) as connection:
        return connection.execute(query).fetchall()


def test_faults_are_found_kept_and_alerted_once(warehouse: Settings, zone: Path) -> None:
    land(warehouse, "--day", str(FIRST), "--days", str(len(DAYS) - 1), "--from", str(zone))
    with psycopg.connect(warehouse.dsn("loader")) as loader:
        # A file of incoming/ belongs to the current day: the last completed day is still LATE.
        loader.execute(
            "insert into raw.loads"
            " (source, landed_on, delivered_on, origin, name, files, content_sha256, started_at)"
            " values ('orders', current_date, current_date, 'file', 'a.csv', '[]', 'x', now())"
        )
    found = {anomaly.metric for anomaly in find_anomalies(warehouse, LATE)}
    assert found == {"rows.events", "empty.orders.shipping_country"}
    first = kept(
        warehouse,
        ANOMALIES,
    )
    assert {row[1] for row in first if row[0] == LATE} == found
    find_anomalies(warehouse, LATE)
    again = kept(
        warehouse,
        ANOMALIES,
    )
    assert sorted(map(str, again)) == sorted(map(str, first))
    causes = kept(warehouse, "select cause from quality.alerts order by cause")
    assert causes == [("anomaly in events",), ("anomaly in orders",)]

    # The next day brings the late file, and another fault.
    land(warehouse, "--day", str(LAST), "--from", str(zone))
    assert {anomaly.metric for anomaly in find_anomalies(warehouse, LAST)} == {
        "size.ad_spend.spend"
    }
    days = kept(
        warehouse,
        "select day, metric from quality.anomalies where day >= '2026-01-30' order by day, metric",
    )
    assert days == [(LATE, "empty.orders.shipping_country"), (LAST, "size.ad_spend.spend")]
    assert kept(warehouse, "select cause from quality.alerts") == [("anomaly in ad_spend",)]


def test_metrics_are_those_of_the_files(warehouse: Settings, zone: Path) -> None:
    land(warehouse, "--day", str(LAST), "--from", str(zone))
    find_anomalies(warehouse, LAST)
    query = f"select metric, value from quality.daily_metrics where day = '{LAST}'"
    measured = {str(metric): value for metric, value in kept(warehouse, query)}
    figures = {
        metric: value
        for metric, value in figures_of_day(zone, LAST, SOURCES).items()
        if not metric.startswith("kpi.")
    }
    assert measured == pytest.approx(figures)
    assert figures["rows.events"] > 100
