"""The dashboards as their files define them, and the queries of their charts to Superset's API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from saas_analytics.stack.superset import DIRECTORY

Document = dict[str, Any]


@dataclass(frozen=True)
class Assets:
    """Each kind of asset, by the path of its file without the suffix."""

    dashboards: dict[str, Document]
    charts: dict[str, Document]
    datasets: dict[str, Document]

    def dashboard_of(self, chart: str) -> Document:
        """The dashboard of a chart, by the chart's folder."""
        return self.dashboards[chart.partition("/")[0]]

    def dataset_of(self, chart: str) -> Document:
        uuid = self.charts[chart]["dataset_uuid"]
        return next(dataset for dataset in self.datasets.values() if dataset["uuid"] == uuid)


def read_assets(directory: Path) -> Assets:
    def kind(name: str) -> dict[str, Document]:
        place = directory / name
        files = sorted(place.rglob("*.yaml"))
        return {
            str(file.relative_to(place).with_suffix("")): yaml.safe_load(file.read_text("utf-8"))
            for file in files
        }

    return Assets(kind("dashboards"), kind("charts"), kind("datasets"))


ASSETS = read_assets(DIRECTORY / "assets")


def charts_of(dashboard: Document) -> list[str]:
    """The uuids of a dashboard's charts."""
    return [part["meta"]["uuid"] for part in dashboard["position"].values() if part_is_chart(part)]


def filters_of(chart: str) -> list[Document]:
    """The filters of its dashboard that reach the chart."""
    dashboard = ASSETS.dashboard_of(chart)
    uuid = ASSETS.charts[chart]["uuid"]
    parts = filter(part_is_chart, dashboard["position"].values())
    (number,) = (part["meta"]["chartId"] for part in parts if part["meta"]["uuid"] == uuid)
    every = dashboard["metadata"]["native_filter_configuration"]
    return [one for one in every if number not in one["scope"]["excluded"]]


def metrics_of(params: Document) -> list[str]:
    """The names of the metrics of a chart; empty if it shows rows."""
    return params.get("metrics") or ([params["metric"]] if "metric" in params else [])


def part_is_chart(part: Any) -> bool:
    return isinstance(part, dict) and part["type"] == "CHART"


def query_of(params: Document) -> Document:
    """The query of a chart, built from its settings as Superset's front end builds it."""
    if params.get("query_mode") == "raw":
        order = [
            [column, False] for column in (entry.split('"')[1] for entry in params["order_by_cols"])
        ]
        return _query(params, columns=params["all_columns"], orderby=order)
    metrics = metrics_of(params)
    group = params.get("groupby") or []
    columns: list[Any] = [group] if isinstance(group, str) else list(group)
    if axis := params.get("x_axis"):
        grain = params.get("time_grain_sqla")
        as_time = {
            "columnType": "BASE_AXIS",
            "sqlExpression": axis,
            "label": axis,
            "expressionType": "SQL",
        }
        columns.insert(0, {**as_time, "timeGrain": grain} if grain else axis)
    return _query(params, columns=columns, metrics=metrics, orderby=[[metrics[0], False]])


def _query(params: Document, **parts: Any) -> Document:
    filters = [
        {"col": rule["subject"], "op": rule["operator"], "val": rule.get("comparator")}
        for rule in params["adhoc_filters"]
    ]
    return {"filters": filters, "row_limit": params.get("row_limit") or 10_000, **parts}
