"""Restricts users who may see a chart only through its dashboard to the chart as it is saved.

Superset lets the role of a dashboard query everything in the data sets behind its charts: rows,
columns that no chart shows, SQL expressions. This module refuses every part of a query that neither
the saved chart nor a filter of the dashboard names, and every kind of query that it does not know.
It applies to users without a permission on the data set.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import g, has_request_context, request
from superset.common.chart_data import ChartDataResultType
from superset.errors import ErrorLevel, SupersetError, SupersetErrorType
from superset.exceptions import SupersetSecurityException
from superset.security import SupersetSecurityManager

if TYPE_CHECKING:
    from superset.common.query_context import QueryContext
    from superset.common.query_object import QueryObject
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice
    from superset.viz import BaseViz

# The keys of a chart's settings that name what it shows.
DIMENSIONS = (
    "all_columns",
    "columns",
    "entity",
    "groupby",
    "groupbyColumns",
    "groupbyRows",
    "series",
    "x_axis",
)
METRICS = (
    "metric",
    "metrics",
    "percent_metrics",
    "secondary_metric",
    "series_limit_metric",
    "timeseries_limit_metric",
)
SHOWN = {ChartDataResultType.FULL, ChartDataResultType.RESULTS}


class SecurityManager(SupersetSecurityManager):
    """Superset's own security manager, with this restriction."""

    def raise_for_access(self, **what: Any) -> None:
        """Superset's check. SupersetSecurityException also if a query goes beyond the chart."""
        super().raise_for_access(**what)
        context: QueryContext | None = what.get("query_context")
        viz: BaseViz | None = what.get("viz")
        asked = context or viz
        if asked is None:
            return
        source = asked.datasource
        if (
            self.can_access_schema(source)
            or self.can_access("datasource_access", source.perm or "")
            or self.is_owner(source)
        ):
            return
        form = asked.form_data or {}
        dashboard = self._dashboard(form)
        if context is not None and form.get("type") == "NATIVE_FILTER":
            allowed = _of_filter(dashboard, form.get("native_filter_id"), source.id)
        else:
            allowed = _of_chart(
                dashboard, _chart(dashboard, form, source, viz.viz_type if viz else None)
            )
        for query in _queries_of_context(context) if context is not None else [_query_of_viz(viz)]:
            allowed.check(query)

    def exist_permission_on_roles(
        self, view_name: str, permission_name: str, role_ids: list[int]
    ) -> bool:
        """Superset's check, with each answer cached for the request.

        For one chart Superset asks the database some of these questions four times.
        """
        known: dict[Any, bool] = (
            g.setdefault("permissions_on_roles", {}) if has_request_context() else {}
        )
        question = (view_name, permission_name, *role_ids)
        if question not in known:
            known[question] = bool(
                super().exist_permission_on_roles(view_name, permission_name, role_ids)
            )
        return known[question]

    def _dashboard(self, form: dict[str, Any]) -> Dashboard:
        from superset.models.dashboard import Dashboard

        return self.session.query(Dashboard).filter(Dashboard.id == form.get("dashboardId")).one()


@dataclass(frozen=True)
class _Query:
    """A query on a data set, from either of Superset's two APIs."""

    result_type: str
    columns: list[Any]
    metrics: list[Any]
    order: list[Any]
    filters: list[dict[str, Any]]
    time_column: str | None
    sql: list[str]
    annotations: list[Any]


@dataclass(frozen=True)
class _Allowed:
    """The parts of a query that are allowed, and the filters that are required."""

    columns: set[str]
    metrics: set[str] = field(default_factory=set)
    filters: set[str] = field(default_factory=set)
    fixed: list[tuple[str, str, str]] = field(default_factory=list)

    def check(self, query: _Query) -> None:
        if query.result_type not in SHOWN:
            raise _refusal(f"The result type {query.result_type}")
        if query.sql or query.annotations:
            raise _refusal("An SQL expression or an annotation layer")
        for column in query.columns:
            if not self.shows_column(column):
                raise _refusal(f"The column {_shown(column)}")
        for metric in query.metrics:
            if not self.shows_metric(metric):
                raise _refusal(f"The metric {_shown(metric)}")
        for by in query.order:
            if not (self.shows_column(by) or self.shows_metric(by)):
                raise _refusal(f"An order by {_shown(by)}")
        for narrowed in [rule.get("col") for rule in query.filters] + [query.time_column]:
            if narrowed is not None and not (
                isinstance(narrowed, str) and narrowed in self.filters
            ):
                raise _refusal(f"A filter on {_shown(narrowed)}")
        there = {_rule(rule.get("col"), rule.get("op"), rule.get("val")) for rule in query.filters}
        for rule in self.fixed:
            if rule not in there:
                raise _refusal(f"The chart without its filter on {rule[0]}")

    def shows_column(self, column: Any) -> bool:
        return _name(column) in self.columns

    def shows_metric(self, metric: Any) -> bool:
        return _frozen(metric) in self.metrics


def _chart(dashboard: Dashboard, form: dict[str, Any], source: Any, viz_type: str | None) -> Slice:
    chart = next((chart for chart in dashboard.slices if chart.id == form.get("slice_id")), None)
    if chart is None or chart.datasource != source:
        raise _refusal("A query that is not of a chart on the dashboard")
    if viz_type not in (None, chart.viz_type):
        raise _refusal("A chart type other than the saved one")
    return chart


def _of_chart(dashboard: Dashboard, chart: Slice) -> _Allowed:
    params = chart.params_dict
    dimensions = _dimensions(params)
    rules = [
        rule for rule in params.get("adhoc_filters") or [] if rule.get("expressionType") == "SIMPLE"
    ]
    metadata = json.loads(dashboard.json_metadata or "{}")
    filters = dimensions | {rule["subject"] for rule in rules}
    filters |= {
        column
        for each in metadata.get("native_filter_configuration", [])
        for _, column in _targets(each)
    }
    if metadata.get("cross_filters_enabled"):
        filters |= {
            column for other in dashboard.slices for column in _dimensions(other.params_dict)
        }
    return _Allowed(
        columns=dimensions,
        metrics={_frozen(metric) for metric in _named(params, METRICS)},
        filters=filters,
        fixed=[
            _rule(rule["subject"], rule["operator"], rule.get("comparator"))
            for rule in rules
            if rule["operator"] != "TEMPORAL_RANGE"  # the dashboard's time filter replaces it
        ],
    )


def _of_filter(dashboard: Dashboard, filter_id: Any, datasource_id: int) -> _Allowed:
    """The values that a filter offers; they can be searched."""
    configured = json.loads(dashboard.json_metadata or "{}").get("native_filter_configuration", [])
    targets = [
        target for each in configured if each.get("id") == filter_id for target in _targets(each)
    ]
    columns = {column for source, column in targets if source == datasource_id}
    return _Allowed(columns=columns, filters=columns)


def _targets(native_filter: dict[str, Any]) -> list[tuple[int, str]]:
    """The data set and column of each target of a dashboard's filter; a time filter has none."""
    return [
        (target["datasetId"], target["column"]["name"])
        for target in native_filter.get("targets", [])
        if target.get("column")
    ]


def _queries_of_context(context: QueryContext) -> list[_Query]:
    return [
        _query_of_context(query, query.result_type or context.result_type)
        for query in context.queries
    ]


def _query_of_context(query: QueryObject, result_type: str) -> _Query:
    """Post-processing is not checked: it only works on the rows of the answer."""
    return _Query(
        result_type=result_type,
        columns=[*query.columns, *query.series_columns],
        metrics=query.metrics or [],
        order=[*(by for by, _ in query.orderby), *filter(None, [query.series_limit_metric])],
        filters=query.filter,
        time_column=query.granularity,
        sql=[text for text in (query.extras.get("where"), query.extras.get("having")) if text],
        annotations=query.annotation_layers,
    )


def _query_of_viz(viz: BaseViz) -> _Query:
    """The query of a chart of the older API, built as the server builds it."""
    kinds = [kind for kind in ChartDataResultType if request.args.get(kind) == "true"]
    query = type(viz)(viz.datasource, copy.deepcopy(viz.form_data)).query_obj()
    return _Query(
        result_type=kinds[0] if kinds else ChartDataResultType.FULL,
        columns=[*query.get("groupby", []), *query.get("columns", [])],
        metrics=query.get("metrics", []),
        order=[
            *(by for by, _ in query.get("orderby", [])),
            *filter(None, [query.get("timeseries_limit_metric")]),
        ],
        filters=query.get("filter", []),
        time_column=query.get("granularity"),
        sql=[
            text for text in (query["extras"].get("where"), query["extras"].get("having")) if text
        ],
        annotations=viz.form_data.get("annotation_layers", []),
    )


def _dimensions(params: dict[str, Any]) -> set[str]:
    return {name for name in map(_name, _named(params, DIMENSIONS)) if name is not None}


def _named(params: dict[str, Any], keys: tuple[str, ...]) -> list[Any]:
    values = [params.get(key) for key in keys]
    return [
        one for value in values if value for one in (value if isinstance(value, list) else [value])
    ]


def _name(column: Any) -> str | None:
    """The name of a column of the data set or of a chart's axis; None for an SQL expression."""
    if isinstance(column, dict) and column.get("columnType") == "BASE_AXIS":
        column = column.get("sqlExpression")
    return column if isinstance(column, str) else None


def _rule(column: Any, operator: Any, value: Any) -> tuple[str, str, str]:
    return _frozen(column), str(operator).upper(), _frozen(value)


def _frozen(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else "that is an expression"


def _refusal(what: str) -> SupersetSecurityException:
    message = (
        f"{what} needs a permission on the data set. The dashboard only shows the chart as saved. "
        "Ask an administrator."
    )
    return SupersetSecurityException(
        SupersetError(
            message, SupersetErrorType.DATASOURCE_SECURITY_ACCESS_ERROR, ErrorLevel.WARNING
        )
    )
