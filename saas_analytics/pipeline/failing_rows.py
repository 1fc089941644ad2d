"""Keeps the first rows that a failed test found in quality.failing_rows, without personal data.

Masked are the columns that a contract marks as personal (tag pii), in whatever table and under the
other names that dbt's tests give them, and whole rows as they were delivered. In every text, e-mail
addresses, long numbers (of phones and cards) and the values that PostgreSQL's messages quote are
masked.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from saas_analytics.contracts import SOURCES, load_contract
from saas_analytics.pipeline.dbt_process import NodeEnd
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect

FIRST = 5  # rows of a test
# The names of a column's values in dbt's own tests (unique, accepted_values, relationships).
_NAMES_IN_TESTS = frozenset({"unique_field", "value_field", "from_field"})
# Columns that hold a row as it was delivered, or its fields that no contract knows.
_DELIVERED = frozenset({"_original", "original", "_doc", "_extra"})
MASK = "***"
_LONGEST = 200  # characters of a value
_SECONDS = 30  # limit of the query for the rows of a test
# The patterns are of limited length, so that a long text without a match does not take long.
_EMAIL = re.compile(r"[^\s@\"'<>,;:(){}\[\]]{1,64}@[^\s@\"'<>,;:(){}\[\]]{1,255}\.\w+")
_NUMBER = re.compile(r"\+?\b\d(?:[ ()./-]{0,2}\d){8,}\b")
# A value may contain brackets and line breaks: the masked part ends at the last bracket.
_QUOTED = re.compile(
    r"(Failing row contains |\bkey \([^=]{0,1000}\)=)\((?:.*\)|.*)", re.IGNORECASE | re.DOTALL
)
_REFUSED = re.compile(
    r"(invalid input (?:syntax|value) for [^:\n]{0,200}: |JSON data, line \d+: ).*"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d)?")  # with the hour that follows it


def masked_text(text: str) -> str:
    """The text without e-mail addresses, phone and card numbers, and values that PostgreSQL quotes.

    Dates and times stay.
    """
    text = _REFUSED.sub(rf"\1{MASK}", _QUOTED.sub(rf"\1({MASK})", text))
    text = _EMAIL.sub(MASK, text)
    return _NUMBER.sub(lambda found: found[0] if _DATE.fullmatch(found[0]) else MASK, text)


def masked_row(row: dict[str, Any], column: str | None = None) -> dict[str, Any]:
    """A row as values for JSON, masked and cut. `column` is the one that its test is for."""
    personal = _personal_columns() | _DELIVERED
    if column in personal:
        personal |= _NAMES_IN_TESTS
    return {
        name: MASK if name in personal and value is not None else _masked(value)
        for name, value in row.items()
    }


def failures(settings: Settings, run_id: str) -> dict[str, str]:
    """The nodes of a dbt run that failed, each with a text. It has the first rows of a test."""
    with connect(settings, "transformer", application_name="failing_rows") as session:
        found = session.execute(_FAILURES, [run_id]).fetchall()
    texts = {}
    for node_id, status, message, rows in found:
        kind, _, name = node_id.split(".", 2)
        lines = [
            f"  {', '.join(f'{column}: {value}' for column, value in row.items())}"
            for row in rows or ()
        ]
        texts[node_id] = "\n".join([f"{kind} {name}: {status}. {message or ''}".rstrip(), *lines])
    return texts


def passed(settings: Settings, run_id: str) -> set[str]:
    """The nodes that passed in a run of dbt."""
    with connect(settings, "transformer", application_name="failing_rows") as session:
        return {node_id for (node_id,) in session.execute(_PASSED, [run_id])}


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


def _masked(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, default=str)
        if isinstance(value, dict | list)
        else str(value)
    )
    masked = masked_text(text) if isinstance(value, str | dict | list) else text
    return masked if len(masked) <= _LONGEST else masked[:_LONGEST] + "..."


@cache
def _personal_columns() -> frozenset[str]:
    return frozenset(
        column.name for source in SOURCES for column in load_contract(source).columns if column.pii
    )


_FAILURES = """
    select results.node_id, results.status, results.message, failing.rows
    from quality.dbt_results as results
    left join quality.failing_rows as failing
        on results.run_id = failing.run_id and results.node_id = failing.node_id
    where results.run_id = %s and results.status in ('error', 'fail')
    order by results.finished_at, results.node_id
"""
_PASSED = """
    select node_id from quality.dbt_results
    where run_id = %s and status in ('success', 'pass', 'warn')
"""
