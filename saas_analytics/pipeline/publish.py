"""The last task of the pipeline: writes a summary of the run to quality.pipeline_runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect


def publish(settings: Settings, day: date, kpis: Mapping[str, Any]) -> dict[str, Any]:
    """Write the row of this run and `day` in quality.pipeline_runs, and return its summary.

    `kpis` are the newest key figures. An existing row is replaced.
    """
    with connect(settings, "transformer", application_name="publish") as warehouse:
        run_id = os.environ.get("PIPELINE_RUN_ID") or newest_run(warehouse)
        summary = {
            "day": day,
            "landed": _landed(warehouse, day),
            "dbt": dbt_results(warehouse, run_id) or dbt_results(warehouse, newest_run(warehouse)),
            "kpis": kpis,
        }
        # Dates and decimals as text, so that not a digit is lost.
        plain: dict[str, Any] = json.loads(json.dumps(summary, default=str))
        warehouse.execute(_WRITE, [run_id, day, Jsonb(plain)])
    return plain


def newest_run(warehouse: psycopg.Connection) -> str:
    """The run in which dbt ended a node last: the one to publish after a build by hand."""
    row = warehouse.execute(
        "select run_id from quality.dbt_results order by finished_at desc limit 1"
    ).fetchone()
    if row is None:
        raise WarehouseError(
            "No dbt run has left results in quality.dbt_results. Run `make dbt-build`."
        )
    return str(row[0])


def dbt_results(warehouse: psycopg.Connection, run_id: str) -> dict[str, dict[str, int]]:
    """The nodes of a run, counted by kind and status, such as {'model': {'success': 33}}."""
    rows = warehouse.execute(
        """
        select split_part(node_id, '.', 1) as kind, status, count(*)
        from quality.dbt_results
        where run_id = %s
        group by kind, status
        """,
        [run_id],
    )
    counts: dict[str, dict[str, int]] = {}
    for kind, status, number in rows:
        counts.setdefault(kind, {})[status] = number
    return counts


_WRITE = """
insert into quality.pipeline_runs (run_id, day, summary)
values (%s, %s, %s)
on conflict (run_id, day)
do update set summary = excluded.summary, finished_at = excluded.finished_at
"""


def _landed(warehouse: psycopg.Connection, day: date) -> list[dict[str, Any]]:
    with warehouse.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select
                source,
                sum(rows_landed)::bigint as rows_landed,
                sum(rows_rejected)::bigint as rows_rejected
            from raw.loads
            where delivered_on = %s and superseded_by is null
            group by source
            order by source
            """,
            [day],
        ).fetchall()
