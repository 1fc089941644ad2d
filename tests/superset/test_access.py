"""Who may do what: nothing without a login, dashboards alone for viewers, and marts alone for Superset itself."""

from __future__ import annotations

import time

import httpx
import psycopg
import pytest

from infrastructure.settings import Settings
from tests.superset.assets import ASSETS
from tests.superset.conftest import STATEMENT_TIMEOUT_MS, Superset, answer

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


@pytest.mark.parametrize("path", (*FOR_NO_VIEWER, "/api/v1/dashboard/", "/api/v1/dashboard/revenue", "/api/v1/chart/"))
def test_nobody_comes_in_without_a_login(superset: Superset, path: str) -> None:
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
    assert admin.get(path).status_code == 200  # it is there


def test_a_viewer_has_no_sql(viewer: httpx.Client, admin: httpx.Client) -> None:
    query = {"database_id": warehouse_id(admin), "sql": "select 1 as one"}
    assert viewer.post("/api/v1/sqllab/execute/", json=query).status_code == 403
    assert answer(admin.post("/api/v1/sqllab/execute/", json=query))["data"] == [{"one": 1}]


def test_a_viewer_changes_nothing(viewer: httpx.Client, admin: httpx.Client) -> None:
    number = answer(admin.get("/api/v1/dashboard/revenue"))["result"]["id"]
    assert viewer.put(f"/api/v1/dashboard/{number}", json={"dashboard_title": "Mine"}).status_code == 403
    assert viewer.delete(f"/api/v1/dashboard/{number}").status_code == 403
    assert viewer.post("/api/v1/dashboard/", json={"dashboard_title": "Mine"}).status_code == 403


def test_a_viewer_sees_charts_and_not_what_is_behind_them(
    viewer: httpx.Client, admin: httpx.Client, chart_ids: dict[str, int]
) -> None:
    chart = ASSETS.charts["customers-and-products/customers"]
    number = chart_ids[chart["uuid"]]
    dashboard = answer(admin.get("/api/v1/dashboard/customers-and-products"))["result"]["id"]
    other = answer(admin.get("/api/v1/dashboard/revenue"))["result"]["id"]
    source = answer(admin.get(f"/api/v1/chart/{number}?q=(columns:!(datasource_id))"))["result"]["datasource_id"]

    def ask(dashboard: int | None = dashboard, result_format: str = "json", result_type: str = "full") -> int:
        body = {
            "datasource": {"id": source, "type": "table"},
            "queries": [{"columns": [], "metrics": ["customers"]}],
            "form_data": {"slice_id": number, **({"dashboardId": dashboard} if dashboard else {})},
            "result_format": result_format,
            "result_type": result_type,
        }
        return viewer.post("/api/v1/chart/data", json=body).status_code

    assert ask() == 200
    assert ask(dashboard=None) == 403
    assert ask(dashboard=other) == 403
    for file in ("csv", "xlsx"):
        assert ask(result_format=file) == 403
    for behind in ("samples", "drill_detail", "query"):
        assert ask(result_type=behind) == 403


# What Superset's own login on the warehouse may not read or do, and what PostgreSQL says.
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
def test_superset_reads_marts_alone(admin: httpx.Client, sql: str) -> None:
    response = admin.post("/api/v1/sqllab/execute/", json={"database_id": warehouse_id(admin), "sql": sql})
    assert response.status_code >= 400
    assert any(text in response.text for text in REFUSED[sql].split("|")), response.text[:500]


def test_the_reporter_writes_nothing_even_if_it_asks_to(marts: Settings) -> None:
    with psycopg.connect(marts.dsn("reporter"), autocommit=True) as reporter:
        reporter.execute("set default_transaction_read_only to off")
        for sql in ("delete from marts.active_users", "create table marts.mine ()", "create temporary table mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reporter.execute(sql)


def test_a_query_that_takes_too_long_is_ended(admin: httpx.Client) -> None:
    endless = "select count(*) from marts.mrr as a, marts.mrr as b, marts.mrr as c, marts.mrr as d"
    query = {"database_id": warehouse_id(admin), "sql": endless}
    started = time.monotonic()
    response = admin.post("/api/v1/sqllab/execute/", json=query)
    assert "statement timeout" in response.text
    assert time.monotonic() - started < STATEMENT_TIMEOUT_MS / 1000 + 20


def test_the_browser_is_told_to_call_nobody_outside(superset: Superset) -> None:
    policy = httpx.get(f"{superset.url}/login/", trust_env=False).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy and "unsafe-eval" not in policy and "*" not in policy


def test_secrets_are_in_no_answer_and_no_asset(superset: Superset, admin: httpx.Client) -> None:
    told = answer(admin.get(f"/api/v1/database/{warehouse_id(admin)}/connection"))
    for key in ("WAREHOUSE_REPORTER_PASSWORD", "SUPERSET_SECRET_KEY", "SUPERSET_DB_PASSWORD"):
        assert superset.settings.secret(key) not in str(told)


def warehouse_id(admin: httpx.Client) -> int:
    (database,) = answer(admin.get("/api/v1/database/"))["result"]
    return int(database["id"])
