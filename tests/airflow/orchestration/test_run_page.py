"""The page with the dbt nodes of a run, in a real Airflow: its content and its access control."""

from __future__ import annotations

import httpx

from saas_analytics.layout import PIPELINE
from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.airflow_api import AirflowApi
from saas_analytics.warehouse import connect
from tests.airflow.conftest import Pipeline


def test_the_page_shows_the_nodes_of_a_run_to_logged_in_users(
    pipeline: Pipeline, api: AirflowApi
) -> None:
    run_id = pipeline.ended_run()
    links = api.call(
        "GET", f"/api/v2/dags/{PIPELINE}/dagRuns/{run_id}/taskInstances/dbt_build/links"
    )
    url = links["extra_links"]["dbt nodes"]
    assert url.startswith(f"{airflow_url(pipeline.stack.settings)}/dbt-nodes/{PIPELINE}/")

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer nonsense"}).status_code == 403
    password = pipeline.stack.settings.secret("AIRFLOW_ADMIN_PASSWORD")
    login = {"username": "admin", "password": password}
    answer = httpx.post(f"{airflow_url(pipeline.stack.settings)}/auth/token", json=login)
    token = answer.json()["access_token"]
    page = httpx.get(url, cookies={"_token": token})
    assert page.status_code == 200
    for shown in ("sales_summary", "active_users", "Nodes that did not pass"):
        assert shown in page.text
    missing = httpx.get(url.replace("manual", "manuel"), cookies={"_token": token})
    assert (missing.status_code, "has no run" in missing.text) == (404, True)

    # A failed test is shown with the rows that it found.
    with connect(pipeline.stack.settings, "owner") as warehouse:
        node, run = "test.saas_analytics.probe_is_one", f"{PIPELINE}/{run_id}"
        warehouse.execute(
            "update quality.dbt_results set status = 'fail' where (run_id, node_id) = (%s, %s)",
            [run, node],
        )
        rows = '[{"email": "***", "day": "2026-01-05"}]'
        warehouse.execute("insert into quality.failing_rows values (%s, %s, %s)", [run, node, rows])
    page = httpx.get(url, cookies={"_token": token})
    assert "probe_is_one" in page.text and "first 1 row<" in page.text
