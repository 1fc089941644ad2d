"""Permissions: nothing without a login, only dashboards for viewers, only marts for Superset."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from saas_analytics.settings import Settings
from tests.superset.assets import ASSETS, Document, query_of
from tests.superset.conftest import STATEMENT_TIMEOUT_MS, Numbers, Superset, answer

FOR_NO_VIEWER = (
    "/api/v1/dataset/",
    "/api/v1/database/",
    "/api/v1/query/",
    "/api/v1/saved_query/",
    "/api/v1/security/users/",
    "/api/v1/log/",
    "/api/v1/assets/export/",
    "/api/v1/dashboard/export/?q=!({dashboard})",
    "/api/v1/chart/export/?q=!({chart})",
    "/api/v1/dataset/export/?q=!({dataset})",
)


@pytest.mark.parametrize(
    "path", (*FOR_NO_VIEWER, "/api/v1/dashboard/", "/api/v1/dashboard/revenue", "/api/v1/chart/")
)
def test_nobody_has_access_without_a_login(superset: Superset, path: str) -> None:
    with httpx.Client(base_url=superset.url, trust_env=False) as nobody:
        assert nobody.get(path).status_code == 401
        assert nobody.get("/superset/dashboard/revenue/").headers["Location"].startswith("/login/")


def test_a_viewer_sees_the_dashboards(viewer: httpx.Client) -> None:
    listed = answer(viewer.get("/api/v1/dashboard/"))["result"]
    assert {dashboard["slug"] for dashboard in listed} == set(ASSETS.dashboards)


@pytest.mark.parametrize("path", FOR_NO_VIEWER)
def test_a_viewer_sees_nothing_else(viewer: httpx.Client, admin: httpx.Client, path: str) -> None:
    for kind in ("dashboard", "chart", "dataset"):
        if f"{{{kind}}}" in path:
            path = path.format(**{kind: answer(admin.get(f"/api/v1/{kind}/"))["result"][0]["id"]})
    assert viewer.get(path).status_code == 403
    assert admin.get(path).status_code == 200  # it exists


def test_a_viewer_cannot_run_sql(viewer: httpx.Client, admin: httpx.Client) -> None:
    query = {"database_id": warehouse_id(admin), "sql": "select 1 as one"}
    assert viewer.post("/api/v1/sqllab/execute/", json=query).status_code == 403
    assert answer(admin.post("/api/v1/sqllab/execute/", json=query))["data"] == [{"one": 1}]


def test_a_viewer_changes_nothing(viewer: httpx.Client, admin: httpx.Client) -> None:
    number = answer(admin.get("/api/v1/dashboard/revenue"))["result"]["id"]
    assert (
        viewer.put(f"/api/v1/dashboard/{number}", json={"dashboard_title": "Mine"}).status_code
        == 403
    )
    assert viewer.delete(f"/api/v1/dashboard/{number}").status_code == 403
    assert viewer.post("/api/v1/dashboard/", json={"dashboard_title": "Mine"}).status_code == 403


@dataclass(frozen=True)
class Chart:
    """A chart as a browser requests it: the table of RFM segments, or the map."""

    form: Document
    source: int
    elsewhere: int  # a dashboard without it


def chart_of(numbers: Numbers, name: str) -> Chart:
    asset, dashboard = ASSETS.charts[name], numbers.dashboards[ASSETS.dashboard_of(name)["slug"]]
    form = {**asset["params"], "slice_id": numbers.charts[asset["uuid"]], "dashboardId": dashboard}
    return Chart(form, numbers.datasets[asset["dataset_uuid"]], numbers.dashboards["revenue"])


@pytest.fixture(scope="module")
def segments(numbers: Numbers) -> Chart:
    return chart_of(numbers, "customers-and-products/rfm")


@pytest.fixture(scope="module")
def geography(numbers: Numbers) -> Chart:
    return chart_of(numbers, "operations-and-data-quality/geography")


def ask(
    client: httpx.Client,
    chart: Chart,
    query: Document | None = None,
    form: Document | None = None,
    **asked: str,
) -> int:
    """The status of the answer to a chart's query and form, with these changes.

    `asked` are further fields of the request.
    """
    body: Document = {
        "datasource": {"id": chart.source, "type": "table"},
        "queries": [{**query_of(chart.form), **(query or {})}],
        "form_data": {**chart.form, **(form or {})},
        **asked,
    }
    return client.post("/api/v1/chart/data", json=body).status_code


def draw(
    client: httpx.Client, chart: Chart, form: Document | None = None, asked: str = "json"
) -> int:
    """The same for a chart of the older API; `asked` is the kind of result."""
    data = {
        "form_data": json.dumps(
            {**chart.form, "datasource": f"{chart.source}__table", **(form or {})}
        )
    }
    return client.post("/superset/explore_json/", data=data, params={asked: "true"}).status_code


NAME: Document = {"expressionType": "SQL", "sqlExpression": "name", "label": "n"}
AXIS: Document = {**NAME, "columnType": "BASE_AXIS"}
LONGEST_NAME = {**NAME, "sqlExpression": "max(name)", "label": "m"}
LIKE: Document = {"op": "ILIKE", "val": "A%"}
COUNTRY = {"col": "country", "op": "IN", "val": ["US"]}
NOT_NULL = {"col": "rfm_segment", "op": "IS NOT NULL"}

LAYER: Document = {
    "name": "a",
    "annotationType": "EVENT",
    "sourceType": "line",
    "value": 1,
    "show": True,
    "showMarkers": False,
}

# Changes of the chart's query and form that stay within the chart.
WITHIN: list[tuple[Document, Document]] = [
    ({}, {}),
    ({"columns": []}, {}),
    ({"metrics": ["customers"], "orderby": [["rfm_segment", True]]}, {}),
    ({"series_limit_metric": "net_revenue"}, {}),
    ({"filters": [NOT_NULL, COUNTRY]}, {}),
    ({"columns": [{**AXIS, "sqlExpression": "rfm_segment", "label": "rfm_segment"}]}, {}),
]
# Changes that go beyond it.
BEYOND: dict[str, tuple[Document, Document]] = {
    "rows": ({"columns": ["customer_id"], "metrics": []}, {}),
    "a column that no chart shows": ({"columns": ["rfm_segment", "customer_id"]}, {}),
    "SQL for a column": ({"columns": [NAME], "metrics": []}, {}),
    "SQL for an axis": ({"columns": [AXIS]}, {}),
    "SQL for a metric": ({"metrics": [LONGEST_NAME]}, {}),
    "a metric of another chart": ({"metrics": ["healthy_share"]}, {}),
    "an order by another metric": ({"orderby": [["healthy_share", True]]}, {}),
    "an order by SQL": ({"orderby": [[LONGEST_NAME, True]]}, {}),
    "a limit by SQL": (
        {"series_columns": ["rfm_segment"], "series_limit": 1, "series_limit_metric": LONGEST_NAME},
        {},
    ),
    "a filter on a column": ({"filters": [NOT_NULL, {"col": "customer_id", **LIKE}]}, {}),
    "a filter on SQL": ({"filters": [NOT_NULL, {"col": NAME, **LIKE}]}, {}),
    "SQL for a condition": ({"extras": {"where": "name ilike 'A%'"}}, {}),
    "SQL for a condition on groups": ({"extras": {"having": "max(name) ilike 'A%'"}}, {}),
    "another time": ({"granularity": "first_order_at", "time_range": "Last year"}, {}),
    "without the chart's own filter": ({"filters": [COUNTRY]}, {}),
    "annotations": ({"annotation_layers": [LAYER]}, {}),
    "samples of one query": ({"result_type": "samples"}, {}),
    "no chart, as when drilling to rows": (
        {"columns": ["customer_id"], "metrics": []},
        {"slice_id": None},
    ),
    "the rows of a filter": (
        {"columns": ["customer_id"], "metrics": []},
        {"type": "NATIVE_FILTER", "native_filter_id": "NATIVE_FILTER-country"},
    ),
    "metrics of a filter": (
        {"columns": ["country"], "metrics": ["customers"]},
        {"type": "NATIVE_FILTER", "native_filter_id": "NATIVE_FILTER-country"},
    ),
}


def test_a_viewer_sees_charts(viewer: httpx.Client, segments: Chart, geography: Chart) -> None:
    for query, form in WITHIN:
        assert ask(viewer, segments, query, form) == 200, query
    assert ask(viewer, segments, result_type="results") == 200
    assert draw(viewer, geography) == 200


def test_superset_logs_who_opened_a_dashboard_and_not_each_answer_of_a_chart(
    viewer: httpx.Client, admin: httpx.Client, segments: Chart, geography: Chart
) -> None:
    def logged() -> int:
        return int(answer(admin.get("/api/v1/log/?q=(page_size:1)"))["count"])

    before = logged()
    assert ask(viewer, segments) == draw(viewer, geography) == 200
    assert logged() == before
    assert viewer.get("/superset/dashboard/revenue/").status_code == 200
    assert logged() == before + 1


def test_a_viewer_sees_charts_only_on_their_dashboard(
    viewer: httpx.Client, segments: Chart, geography: Chart
) -> None:
    for nowhere in ({"dashboardId": None}, {"dashboardId": segments.elsewhere}):
        assert ask(viewer, segments, form=nowhere) == 403
        assert draw(viewer, geography, nowhere) == 403


@pytest.mark.parametrize("what", BEYOND)
def test_a_viewer_sees_charts_and_not_what_is_behind_them(
    viewer: httpx.Client, admin: httpx.Client, segments: Chart, what: str
) -> None:
    query, form = BEYOND[what]
    assert ask(viewer, segments, query, form) == 403
    if what != "annotations":  # there are none
        assert ask(admin, segments, query, form) == 200  # Superset can answer the query


def test_a_viewer_does_not_drill_by_a_column(viewer: httpx.Client, segments: Chart) -> None:
    drill = {"slice_id": 0, "chart_id": segments.form["slice_id"], "groupby": ["customer_id"]}
    assert ask(viewer, segments, {"columns": ["customer_id"]}, drill) == 403


@pytest.mark.parametrize(
    "kind", ["samples", "drill_detail", "query", "columns", "timegrains", "post_processed"]
)
def test_a_viewer_sees_charts_as_they_are_drawn(
    viewer: httpx.Client, segments: Chart, geography: Chart, kind: str
) -> None:
    assert ask(viewer, segments, result_type=kind) == 403
    assert draw(viewer, geography, asked=kind) == 403


@pytest.mark.parametrize("file", ["csv", "xlsx"])
def test_a_viewer_cannot_export_files(
    viewer: httpx.Client, segments: Chart, geography: Chart, file: str
) -> None:
    assert ask(viewer, segments, result_format=file) == 403
    assert draw(viewer, geography, asked=file) == 403


ORDERS = {
    "clause": "WHERE",
    "expressionType": "SIMPLE",
    "subject": "orders",
    "operator": ">",
    "comparator": 1,
}


@pytest.mark.parametrize(
    "form",
    [
        {"entity": "country_name"},
        {"metric": "orders"},
        {"metric": {**NAME, "sqlExpression": "max(country_name)"}},
        {"secondary_metric": "orders"},
        {"adhoc_filters": [ORDERS]},
        {
            "adhoc_filters": [
                {"clause": "WHERE", "expressionType": "SQL", "sqlExpression": "orders > 1"}
            ]
        },
        {
            "adhoc_filters": [
                {"clause": "HAVING", "expressionType": "SQL", "sqlExpression": "sum(orders) > 1"}
            ]
        },
        {"extra_form_data": {"filters": [{"col": "orders", "op": ">", "val": 1}]}},
        {"viz_type": "para", "series": "country_name"},
        {"slice_id": None},
    ],
    ids=str,
)
def test_a_viewer_sees_the_map_as_it_is_saved(
    viewer: httpx.Client, geography: Chart, form: Document
) -> None:
    assert draw(viewer, geography, form) == 403


# Statements that Superset's login on the warehouse may not run, and the message.
REFUSED = {
    "select * from raw.loads": "permission denied for schema raw",
    "select * from staging.stg_rejects": "permission denied for schema staging",
    "select email from core.dim_users": "permission denied for schema core",
    "select * from core.dim_customers": "permission denied for schema core",
    "select * from quality.dbt_results": "permission denied for schema quality",
    "select pg_read_file('/etc/passwd')": "disallowed function",
    "create table marts.mine (n int)": "DDL|read-only|not allowed|DML|SELECT",
    "delete from marts.active_users": "DDL|read-only|not allowed|DML|SELECT",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_superset_reads_only_marts(admin: httpx.Client, sql: str) -> None:
    response = admin.post(
        "/api/v1/sqllab/execute/", json={"database_id": warehouse_id(admin), "sql": sql}
    )
    assert response.status_code >= 400
    assert any(text in response.text for text in REFUSED[sql].split("|")), response.text[:500]


def test_the_reporter_cannot_write_even_in_a_writable_transaction(marts: Settings) -> None:
    with psycopg.connect(marts.dsn("reporter"), autocommit=True) as reporter:
        reporter.execute("set default_transaction_read_only to off")
        for sql in (
            "delete from marts.active_users",
            "create table marts.mine ()",
            "create temporary table mine ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reporter.execute(sql)


def test_a_query_that_takes_too_long_is_ended(admin: httpx.Client) -> None:
    endless = "select count(*) from " + ", ".join(
        f"marts.retention_cohorts as {name}" for name in "abcd"
    )
    query = {"database_id": warehouse_id(admin), "sql": endless}
    started = time.monotonic()
    response = admin.post("/api/v1/sqllab/execute/", json=query)
    assert "statement timeout" in response.text
    assert time.monotonic() - started < STATEMENT_TIMEOUT_MS / 1000 + 20


def test_the_browser_may_not_contact_other_servers(superset: Superset) -> None:
    policy = httpx.get(f"{superset.url}/login/", trust_env=False).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy and "unsafe-eval" not in policy and "*" not in policy


def test_secrets_are_in_no_answer_and_no_asset(superset: Superset, admin: httpx.Client) -> None:
    connection = answer(admin.get(f"/api/v1/database/{warehouse_id(admin)}/connection"))
    for key in ("WAREHOUSE_REPORTER_PASSWORD", "SUPERSET_SECRET_KEY", "SUPERSET_DB_PASSWORD"):
        assert superset.settings.secret(key) not in str(connection)


def warehouse_id(admin: httpx.Client) -> int:
    (database,) = answer(admin.get("/api/v1/database/"))["result"]
    return int(database["id"])
