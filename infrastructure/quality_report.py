"""The data-quality report of a day: one HTML page and its figures as JSON, from the schemas raw, staging and quality.

    python -m infrastructure.quality_report --day YYYY-MM-DD

Written to .local/reports/<warehouse>/<day>.html and .json. It holds counts, names and rules and no values of
the data, so that nothing personal is in it.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from infrastructure.publish import newest_run
from infrastructure.settings import Settings, SettingsError, load_settings
from infrastructure.warehouse import WarehouseError, connect

Rows = list[dict[str, Any]]


def report(settings: Settings, day: date) -> dict[str, Rows]:
    """The sections of the report of `day` and the run that belongs to this process; each a list of rows."""
    with connect(settings, "owner", application_name="quality_report") as warehouse:
        run_id = os.environ.get("PIPELINE_RUN_ID") or newest_run(warehouse)
        return {title: _rows(warehouse, query, {"day": day, "run_id": run_id}) for title, query in _SECTIONS.items()}


def write(settings: Settings, day: date, sections: dict[str, Rows]) -> Path:
    """Write both files; the path of the page. A page appears whole or not at all."""
    directory = settings.root / ".local/reports" / settings.database
    directory.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(sections, default=str))
    for ending, text in (
        ("json", json.dumps({"day": str(day), "sections": plain}, indent=2)),
        ("html", _page(settings.database, day, plain)),
    ):
        unfinished = directory / f".{day}.{ending}"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(directory / f"{day}.{ending}")
    return directory / f"{day}.html"


def _rows(warehouse: psycopg.Connection, query: str, values: dict[str, Any]) -> Rows:
    with warehouse.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


def _page(database: str, day: date, sections: dict[str, Rows]) -> str:
    parts = [f"<h2>{html.escape(title)}</h2>{_table(rows)}" for title, rows in sections.items()]
    title = f"Data quality of {html.escape(database)}, {day}"
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>{_STYLE}<h1>{title}</h1>" + "".join(
        parts
    )


def _table(rows: Rows) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape('' if v is None else str(v))}</td>" for v in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


_STYLE = (
    "<style>body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:.2rem .8rem;text-align:left}</style>"
)
_SECTIONS = {
    "Tests and models that did not pass": """
        select node_id, status, failures, message
        from quality.dbt_results
        where run_id = %(run_id)s and status not in ('success', 'pass', 'no-op')
        order by status, node_id
    """,
    "Freshness": """
        select source, age_hours, limit_hours, is_stale
        from quality.source_freshness
        where run_id = %(run_id)s
        order by is_stale desc, source
    """,
    "Completeness: rows read, landed, rejected and left out": """
        select source, count(*) as loads, sum(rows_read) as rows_read, sum(rows_landed) as rows_landed,
            sum(rows_rejected) as rows_rejected, sum(rows_left_out) as rows_left_out,
            sum(rows_read) = sum(rows_landed + rows_rejected + rows_left_out) as adds_up
        from raw.loads
        where landed_on = %(day)s and superseded_by is null
        group by source
        order by source
    """,
    "Sources that landed the day before, and not on this day": """
        select distinct source
        from raw.loads
        where landed_on = %(day)s - 1 and origin = 'zone' and superseded_by is null
            and source not in (select source from raw.loads where landed_on = %(day)s and superseded_by is null)
        order by source
    """,
    "Rejects by rule": """
        select source, rule, count(*) as rows
        from staging.stg_rejects
        where landed_on = %(day)s
        group by source, rule
        order by count(*) desc, source, rule
    """,
    "Schema drift": """
        select source, column_name, kind, first_seen, last_seen
        from quality.schema_drift
        where last_seen >= %(day)s - 7
        order by last_seen desc, source, column_name
    """,
    "Tests that failed or warned in the last 30 days": """
        select node_id, count(*) as runs, max(finished_at) as last_time
        from quality.dbt_results
        where status in ('fail', 'warn', 'error') and finished_at > %(day)s - 30
        group by node_id
        order by max(finished_at) desc
        limit 50
    """,
    "Slowest nodes": """
        select node_id, seconds, rows_affected
        from quality.dbt_results
        where run_id = %(run_id)s
        order by seconds desc, node_id
        limit 15
    """,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m infrastructure.quality_report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--day", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    arguments = parser.parse_args(argv)
    try:
        settings = load_settings()
        sections = report(settings, arguments.day)
        print(f"The report: {write(settings, arguments.day, sections)}")
    except (SettingsError, WarehouseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except psycopg.errors.UndefinedTable as error:
        print(f"error: {error.diag.message_primary}: the models are not built. Run `make dbt-build`.", file=sys.stderr)
        return 1
    for title, rows in sections.items():
        print(f"  {len(rows):5d}  {title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
