"""The data-quality report of a day: an HTML page and its figures as JSON.

It reads the schemas raw, staging and quality, and is written to
.local/reports/<warehouse>/<day>.html and .json. It holds counts, names, rules, and the first rows
of failed tests, with personal data masked.
"""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from saas_analytics.errors import AnalyticsError
from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.manifest import read_manifest
from saas_analytics.landing.zone import corrections, day_directory
from saas_analytics.pipeline.publish import newest_run
from saas_analytics.quality.quality_page import page
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect

Rows = list[dict[str, Any]]


class ReportError(AnalyticsError):
    """The report cannot be made. The message says why, and what to do."""


def report(settings: Settings, day: date) -> dict[str, Rows]:
    """The sections of the report by name, each a list of rows.

    They are about `day` and about the run of this process, or else the newest run.
    """
    with connect(settings, "transformer", application_name="quality_report") as warehouse:
        warehouse.read_only = True
        run_id = os.environ.get("PIPELINE_RUN_ID") or newest_run(warehouse)
        values = {"day": day, "run_id": run_id}
        try:
            sections = {name: _rows(warehouse, query, values) for name, query in _QUERIES.items()}
        except psycopg.errors.UndefinedTable as error:
            raise ReportError(
                f"The report of {day} reads a model that warehouse {settings.database} does not"
                f" have: {error.diag.message_primary}. Run `make dbt-build`, then this again."
            ) from error
    sections["completeness"] = _against_manifests(settings, day, sections["completeness"])
    return {"run": [{"day": day, "run_id": run_id, "warehouse": settings.database}], **sections}


def write(settings: Settings, day: date, sections: dict[str, Rows]) -> Path:
    """Write both files, each atomically, and return the path of the page."""
    directory = settings.root / ".local/reports" / settings.database
    directory.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(sections, default=_plain))
    for ending, text in (
        ("json", json.dumps({"day": str(day), "sections": plain}, indent=2)),
        ("html", page(plain)),
    ):
        unfinished = directory / f".{day}.{ending}"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(directory / f"{day}.{ending}")
    return directory / f"{day}.html"


def _plain(value: Any) -> Any:
    """A date or time as text, and a Decimal as a float, for JSON."""
    return str(value) if isinstance(value, date) else float(value)


def _rows(warehouse: psycopg.Connection, query: str, values: dict[str, Any]) -> Rows:
    with warehouse.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


def _against_manifests(settings: Settings, day: date, landed: Rows) -> Rows:
    """The landed sources with the rows of their manifests and a verdict.

    A source that has a manifest but did not land is added.
    """
    by_source = {row["source"]: row for row in landed}
    zone = settings.landing_zone
    delivered = {path.parent.parent.name for path in zone.glob(f"*/dt={day}/_manifest.json")}
    lacking = {
        "rows_read": 0,
        "rows_landed": 0,
        "rows_rejected": 0,
        "rows_left_out": 0,
        "loads": 0,
        "delivered_on": day,
    }
    rows = []
    for source in sorted(by_source.keys() | {name for name in delivered if name[0] != "_"}):
        row = by_source.get(source) or {"source": source, "from_zone": 0, **lacking}
        place = corrections(zone, row["delivered_on"]) if row["delivered_on"] > day else zone
        wanted = _rows_of_manifest(day_directory(place, source, day))
        from_zone = row.pop("from_zone")
        row["rows_in_manifest"] = wanted
        if source not in by_source:
            row["verdict"] = "not landed"
        elif row["rows_read"] != row["rows_landed"] + row["rows_rejected"] + row["rows_left_out"]:
            row["verdict"] = "does not add up"
        elif wanted is None:
            row["verdict"] = "no manifest"
        else:
            row["verdict"] = "complete" if from_zone >= wanted else "rows are lost"
        rows.append(row)
    return rows


def _rows_of_manifest(directory: Path) -> int | None:
    """The rows of all files of a delivery; None if no manifest says so."""
    try:
        manifest = read_manifest(directory)
    except FileRefused:
        return None  # landing has refused it too, and reported it
    if manifest is None or any(entry.rows is None for entry in manifest.entries):
        return None
    return sum(entry.rows or 0 for entry in manifest.entries)


_QUERIES = {
    "outcomes": """
        select
            split_part(node_id, '.', 1) as kind, status, count(*) as nodes, sum(seconds) as seconds
        from quality.dbt_results
        where run_id = %(run_id)s
        group by kind, status
        order by kind, status
    """,
    "failures": """
        select
            results.node_id, results.status, results.failures, results.message,
            failing.rows as first_rows
        from quality.dbt_results as results
        left join quality.failing_rows as failing
            on results.run_id = failing.run_id and results.node_id = failing.node_id
        where results.run_id = %(run_id)s and results.status not in ('success', 'pass', 'no-op')
        order by
            array_position(array['error', 'fail', 'warn'], results.status), results.node_id
    """,
    "anomalies": """
        select day, metric, value, lower, upper, round(score::numeric, 1) as score, reason
        from quality.anomalies
        where day > %(day)s - 7 and day <= %(day)s
        order by day desc, abs(score) desc, metric
    """,
    "volumes": """
        select
            split_part(metrics.metric, '.', 2) as source,
            json_agg(
                json_build_array(metrics.day, metrics.value, found.day is not null)
                order by metrics.day
            ) as days
        from quality.daily_metrics as metrics
        left join quality.anomalies as found
            on metrics.day = found.day and metrics.metric = found.metric
        where
            metrics.metric like 'rows.%%'
            and metrics.day > %(day)s - 42 and metrics.day <= %(day)s
        group by metrics.metric
        order by metrics.metric
    """,
    "freshness": """
        select source, age_hours, limit_hours, is_stale
        from quality.source_freshness
        where run_id = (
            -- Freshness is a run of its own if started by hand. Then the newest is shown.
            select run_id from quality.source_freshness
            order by run_id = %(run_id)s desc, checked_at desc
            limit 1
        )
        order by is_stale desc, age_hours / nullif(limit_hours, 0) desc nulls last, source
    """,
    "completeness": """
        select source, max(delivered_on) as delivered_on, count(*) as loads,
            sum(rows_read)::bigint as rows_read, sum(rows_landed)::bigint as rows_landed,
            sum(rows_rejected)::bigint as rows_rejected,
            sum(rows_left_out)::bigint as rows_left_out,
            coalesce(sum(rows_read) filter (where origin = 'zone'), 0)::bigint as from_zone
        from raw.loads
        where landed_on = %(day)s and superseded_by is null
        group by source
        order by source
    """,
    "missing": """
        select distinct source
        from raw.loads
        where landed_on = %(day)s - 1 and origin = 'zone' and superseded_by is null
            and source not in (
                select source from raw.loads where landed_on = %(day)s and superseded_by is null
            )
        order by source
    """,
    "rejects": """
        select source, rule, count(*) as rows
        from staging.stg_rejects
        where landed_on = %(day)s
        group by source, rule
        order by count(*) desc, source, rule
    """,
    "drift": """
        select source, column_name, kind, first_seen, last_seen, loads
        from quality.schema_drift
        where last_seen > %(day)s - 7
        order by last_seen desc, source, column_name
    """,
    # The tests of dbt/tests compare models with each other or with landed rows. Their names have
    # three parts. The name of a test of one model has a fourth part, a digest.
    "reconciliations": """
        select split_part(node_id, '.', 3) as test, status, failures, seconds
        from quality.dbt_results
        where run_id = %(run_id)s
            and node_id like 'test.%%'
            and (node_id not like 'test.%%.%%.%%' or node_id like 'test.%%.same_totals%%')
        order by status = 'pass', test
    """,
    "test_history": """
        with of_tests as (
            select
                node_id, run_id, status, finished_at,
                row_number() over (partition by node_id order by finished_at desc) as age
            from quality.dbt_results
            where node_id like 'test.%%' and finished_at > %(day)s::date - 30
        )
        select
            split_part(node_id, '.', 3) as test,
            count(*) filter (where status in ('fail', 'warn', 'error')) as not_passed,
            count(*) as runs,
            max(finished_at) filter (where status in ('fail', 'warn', 'error')) as last_time,
            json_agg(status order by finished_at) filter (where age <= 20) as last_runs
        from of_tests
        group by node_id
        having count(*) filter (where status in ('fail', 'warn', 'error')) > 0
        order by max(finished_at) filter (where status in ('fail', 'warn', 'error')) desc, test
        limit 50
    """,
    "slowest": """
        select node_id, seconds, rows_affected, round(usual::numeric, 3) as usual_seconds
        from quality.dbt_results as results
        left join lateral (
            select percentile_cont(0.5) within group (order by before.seconds) as usual
            from quality.dbt_results as before
            where before.node_id = results.node_id and before.run_id <> results.run_id
                and before.finished_at > results.finished_at - interval '30 days'
        ) as history on true
        where results.run_id = %(run_id)s
        order by seconds desc, node_id
        limit 15
    """,
}
