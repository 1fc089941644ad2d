"""Keeps the first rows that a failed test found in quality.failing_rows, without personal data."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from saas_analytics.pipeline.dbt_process import NodeEnd
from saas_analytics.pipeline.masking import masked_row, masked_text

FIRST = 5  # rows of a test
_SECONDS = 30  # limit of the query for the rows of a test


def keep_failing_rows(session: psycopg.Connection, run_id: str, ended: Iterable[NodeEnd]) -> None:
    """Query the first rows of each test that found some, and keep them for the run.

    `session` is in autocommit mode. A query that fails is reported, and the others still run.
    """
    tests = {end.node: end for end in ended if end.node.startswith("test.")}
    try:
        query = "delete from quality.failing_rows where run_id = %s and node_id = any(%s)"
        session.execute(query, [run_id, list(tests)])
    except psycopg.Error as error:
        print(f"quality.failing_rows cannot be written: {error}", file=sys.stderr)
        return
    for node_id, end in tests.items():
        if end.status not in ("fail", "warn") or not end.query:
            continue
        try:
            found = _first_rows(session, end.query, of_each_rule=end.test == "every_row")
            rows = [masked_row(row, end.column) for row in found]
            session.execute(
                "insert into quality.failing_rows (run_id, node_id, rows) values (%s, %s, %s)",
                [run_id, node_id, Jsonb(rows)],
            )
        except psycopg.Error as error:
            why = masked_text(str(error))
            print(
                f"The rows that {node_id} found are not in quality.failing_rows: {why}",
                file=sys.stderr,
            )


def _first_rows(
    session: psycopg.Connection, query: str, *, of_each_rule: bool
) -> list[dict[str, Any]]:
    """The first rows that a test finds, with at least one for each broken rule of several."""
    # dbt's own text: a test is a query of the rows that should not exist.
    failing = f"(\n{query}\n) as failing"
    first = f"select * from {failing} limit {FIRST}"
    if of_each_rule:
        numbered = f"select *, row_number() over (partition by _rule) as _number from {failing}"
        condition = f"_number <= {FIRST} order by _number, _rule"
        first = f"select * from ({numbered}) as numbered where {condition}"
    with session.transaction(), session.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            sql.SQL("set local statement_timeout = {}").format(sql.Literal(f"{_SECONDS}s"))
        )
        cursor.execute(first.encode())
        rows = cursor.fetchall()
    rules = sum(row.pop("_number") == 1 for row in rows) if of_each_rule else 0
    return rows[: max(FIRST, rules)]
