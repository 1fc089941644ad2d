"""The dbt nodes of a run as one HTML page: what failed with its first rows, then the models, then the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.rows import dict_row

from saas_analytics.quality.quality_page import (
    Cell,
    as_code,
    as_number,
    document,
    escaped,
    failing_rows,
    pill,
    table,
)
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect

_REFRESH = 5  # seconds, while the run goes on


def nodes_page(settings: Settings, warehouse: str, run_id: str, *, is_running: bool = False) -> str:
    """The page of what quality.dbt_results has of the run there. WarehouseError where the warehouse does not answer."""
    with connect(settings, "transformer", warehouse, application_name="node_page") as session:
        session.read_only = True
        with session.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(_NODES, [run_id]).fetchall()
    nodes = [_shown(row) for row in rows]
    wrong = [node for node in nodes if node["status"] not in _PASSED]
    built = [node for node in nodes if node["kind"] in _BUILT]
    tests = [node for node in nodes if node["kind"] not in _BUILT]
    seconds = sum(node["seconds"] for node in nodes)
    body = [
        f"<h1>dbt nodes of {escaped(run_id)}</h1>",
        f"<p class=quiet>Warehouse {escaped(warehouse)}: {len(nodes) - len(wrong)} of {len(nodes)} nodes passed, "
        f"in {seconds:,.0f} seconds of dbt's threads.{' The run goes on.' if is_running else ''}</p>",
        _section(
            "What did not pass", wrong, {**_CELLS, "failures": as_number, "message": _message}
        ),
        _section("Models", built, _CELLS),
        _section(
            "Tests",
            tests,
            {name: _CELLS[name] for name in ("node", "status", "seconds", "ended")},
            fold=True,
        ),
    ]
    if not nodes:
        body.append("<p>dbt has ended no node in this run yet, or the run builds nothing.</p>")
    return document(
        f"dbt nodes of {run_id}", "".join(body), refresh=_REFRESH if is_running else None
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, name = row["node_id"].split(".", 2)
    ended = f"{row['finished_at']:%H:%M:%S}"
    return {**row, "kind": kind, "node": name, "rows": row["rows_affected"], "ended": ended}


def _section(
    title: str, rows: list[dict[str, Any]], cells: Mapping[str, Cell], *, fold: bool = False
) -> str:
    shown = table(rows, cells)
    if fold and rows:
        shown = f"<details><summary>{len(rows)} tests</summary>{shown}</details>"
    return f"<section><h2>{title} <span class=count>{len(rows)}</span></h2>{shown}</section>"


def _message(value: Any, row: Any) -> str:
    return f"<pre>{escaped(value or '')}</pre>{failing_rows(row['first_rows'])}"


_BUILT = ("model", "seed", "snapshot")
_PASSED = ("success", "pass", "no-op")
_CELLS: dict[str, Cell] = {
    "node": as_code,
    "status": pill,
    "rows": as_number,
    "seconds": as_number,
    "ended": lambda value, row: escaped(value),
}
_NODES = """
    select results.node_id, results.status, results.seconds::float as seconds, results.rows_affected, results.failures,
        results.message, results.finished_at, failing.rows as first_rows
    from quality.dbt_results as results
    left join quality.failing_rows as failing
        on results.run_id = failing.run_id and results.node_id = failing.node_id
    where results.run_id = %s
    order by results.finished_at, results.node_id
"""
