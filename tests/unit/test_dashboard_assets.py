"""The files of the dashboards agree with each other and with the models; no Superset is needed."""

from __future__ import annotations

import csv
import re

import pytest
import yaml

from saas_analytics.settings import PROJECT_ROOT
from tests.bench.building import QUERIES
from tests.superset.assets import ASSETS, Document, charts_of, filters_of, metrics_of

# Each of its rows is of one dimension: a filter for another dimension would match none.
OF_ONE_DIMENSION = "funnel_by_segment"


def test_every_dashboard_is_an_exposure_with_an_owner() -> None:
    exposures = yaml.safe_load((PROJECT_ROOT / "dbt/models/exposures.yml").read_text())["exposures"]
    assert {entry["name"] for entry in exposures} == {
        slug.replace("-", "_") for slug in ASSETS.dashboards
    }
    for entry in exposures:
        assert entry["owner"]["name"]
        folder = entry["name"].replace("_", "-") + "/"
        charts = (chart for chart in ASSETS.charts if chart.startswith(folder))
        read = {table for chart in charts for table in tables_of(ASSETS.dataset_of(chart))}
        named = {text.split("'")[1] for text in entry["depends_on"]}
        # These are not models.
        assert named == read - {"landed_rows", "test_runs", "source_freshness"}, entry["name"]


def test_the_bench_queries_every_mart_of_a_dashboard() -> None:
    asked = set(re.findall(r"\bmarts\.(\w+)", " ".join(QUERIES.values())))
    assert {
        table for chart in ASSETS.charts for table in tables_of(ASSETS.dataset_of(chart))
    } - asked == {
        # not models; the bench of the dashboards reads them
        "landed_rows",
        "test_runs",
        "source_freshness",
    }


def tables_of(dataset: Document) -> set[str]:
    if "sql" not in dataset:
        return {dataset["table_name"]}
    return set(re.findall(r"\bmarts\.(\w+)", dataset["sql"]))


def test_a_channel_has_a_colour_of_its_own() -> None:
    with (PROJECT_ROOT / "dbt/seeds/channel_rules.csv").open(encoding="utf-8", newline="") as file:
        channels = {row["channel"] for row in csv.DictReader(file)} | {"other", "unattributed"}
    colours = ASSETS.dashboards["funnel-and-attribution"]["metadata"]["label_colors"]
    assert len({colours[channel] for channel in channels}) == len(channels)


def test_every_chart_lies_on_the_dashboard_of_its_folder() -> None:
    for slug, dashboard in ASSETS.dashboards.items():
        of_folder = {
            chart["uuid"] for name, chart in ASSETS.charts.items() if name.startswith(f"{slug}/")
        }
        assert dashboard["slug"] == slug
        assert set(charts_of(dashboard)) == of_folder


def test_amounts_of_orders_are_added_within_a_currency() -> None:
    """payment_reconciliation has the currency of each order, not the reporting currency."""
    for name, chart in ASSETS.charts.items():
        shown = {"order_total", "charged", "refunded", "difference"} & set(
            metrics_of(chart["params"])
        )
        if shown and ASSETS.dataset_of(name)["table_name"] == "payment_reconciliation":
            assert "currency" in chart["params"]["groupby"], name


def test_a_dashboard_has_the_filters_that_its_documentation_names() -> None:
    text = (PROJECT_ROOT / "docs/reference/dashboards.md").read_text("utf-8")
    named = {
        row[0]: row[2].split(", ")
        for row in re.findall(r"^\| ([A-Z][^|]*) \| ([^|]*) \| ([^|]*) \|$", text, re.M)
    }
    assert named == {
        dashboard["dashboard_title"]: [
            one["name"].lower() for one in filters_of_dashboard(dashboard)
        ]
        for dashboard in ASSETS.dashboards.values()
    }


def filters_of_dashboard(dashboard: Document) -> list[Document]:
    filters: list[Document] = dashboard["metadata"]["native_filter_configuration"]
    return filters


@pytest.mark.parametrize("chart", ASSETS.charts)
def test_a_filter_reaches_every_chart_whose_rows_have_its_column(chart: str) -> None:
    dataset = ASSETS.dataset_of(chart)
    columns = {column["column_name"] for column in dataset["columns"]}
    reaching = {one["name"].lower() for one in filters_of(chart)} - {"date"}
    possible = {
        one["name"].lower() for one in filters_of_dashboard(ASSETS.dashboard_of(chart))
    } & columns
    if dataset["table_name"] == OF_ONE_DIMENSION:
        possible &= {ASSETS.charts[chart]["params"].get("x_axis")}
    assert reaching == possible


@pytest.mark.parametrize("chart", ASSETS.charts)
def test_the_filter_for_dates_reaches_every_chart_that_has_a_time(chart: str) -> None:
    reached = any(one["filterType"] == "filter_time" for one in filters_of(chart))
    conditions = ASSETS.charts[chart]["params"]["adhoc_filters"]
    assert reached == any(one["operator"] == "TEMPORAL_RANGE" for one in conditions)
