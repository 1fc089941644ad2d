"""The dbt nodes of a run as one HTML page: failed nodes with their first rows, models, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row

from saas_analytics.quality.rendering import render
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect


def nodes_page(settings: Settings, warehouse: str, run_id: str, *, is_running: bool = False) -> str:
    """The page of a run in quality.dbt_results. It reloads itself while the run goes on.

    WarehouseError if the warehouse does not answer.
    """
    with connect(settings, "transformer", warehouse, application_name="node_page") as session:
        session.read_only = True
        with session.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(_NODES, [run_id]).fetchall()
    return page(rows, warehouse, run_id, is_running=is_running)


def page(
    rows: Sequence[Mapping[str, Any]], warehouse: str, run_id: str, *, is_running: bool = False
) -> str:
    """The page of the rows of `_NODES`."""
    nodes = [_shown(row) for row in rows]
    values = {"warehouse": warehouse, "run_id": run_id, "is_running": is_running}
    return render("nodes.html.j2", nodes=nodes, **values)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, name = row["node_id"].split(".", 2)
    ended = f"{row['finished_at']:%H:%M:%S}"
    return {**row, "kind": kind, "node": name, "rows": row["rows_affected"], "ended": ended}


_NODES = """
    select
        results.node_id, results.status, results.seconds::float as seconds, results.rows_affected,
        results.failures, results.message, results.finished_at, failing.rows as first_rows
    from quality.dbt_results as results
    left join quality.failing_rows as failing
        on results.run_id = failing.run_id and results.node_id = failing.node_id
    where results.run_id = %s
    order by results.finished_at, results.node_id
"""
