"""A page in Airflow with the dbt nodes of a run. The run has a tab for it, and its dbt task a link.

The page is /dbt-nodes/<dag_id>/<run_id>. It needs the permission to see the DAG's task instances.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from warehouse_tasks import DBT_NODES, DbtNodesLink, run_in_warehouse


def _app() -> Any:
    # Large imports. Every Airflow process loads plugins, but only one serves pages.
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.common.db.common import SessionDep
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from airflow.models.dagrun import DagRun
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse
    from sqlalchemy import select

    from saas_analytics.quality.node_page import nodes_page
    from saas_analytics.settings import SettingsError, load_settings
    from saas_analytics.settings_table import database_name
    from saas_analytics.warehouse import WarehouseError

    app = FastAPI(title="dbt nodes", docs_url=None, redoc_url=None, openapi_url=None)
    may_see = Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))

    # Not async, so that the query of the warehouse runs in a thread.
    def show(dag_id: str, run_id: str, session: Any) -> Any:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None:
            raise HTTPException(404, f"The DAG {dag_id} has no run {run_id}.")
        try:
            settings = load_settings()
            warehouse = database_name((run.conf or {}).get("warehouse") or settings.database)
            name = run_in_warehouse(dag_id, run_id)
            text = nodes_page(settings, warehouse, name, is_running=run.end_date is None)
        except (SettingsError, WarehouseError, ValueError) as error:
            raise HTTPException(503, str(error)) from error
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    show.__annotations__["session"] = SessionDep
    app.get("/{dag_id}/{run_id:path}", dependencies=[may_see], response_class=HTMLResponse)(show)
    return app


_SERVES_NO_PAGES = sys.argv[1:2] in (["scheduler"], ["dag-processor"], ["triggerer"])


class DbtNodesPage(AirflowPlugin):  # type: ignore[misc]
    """The page, and the tab and link to it in Airflow's user interface."""

    name = "dbt_nodes_page"
    fastapi_apps = (
        []
        if _SERVES_NO_PAGES
        else [{"app": _app(), "url_prefix": f"/{DBT_NODES}", "name": "dbt nodes"}]
    )
    external_views = [  # noqa: RUF012
        {
            "name": "dbt nodes",
            "href": f"{DBT_NODES}/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "dbt_nodes",
        }
    ]
    operator_extra_links = [DbtNodesLink()]  # noqa: RUF012
