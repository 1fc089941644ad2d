"""Writes the result of each node of a dbt run to quality.dbt_results, and reads the results.

There is one row for a run and a node. A retry of the run overwrites the rows of the nodes that it
runs again, and keeps the others.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Lock

import psycopg

from saas_analytics.pipeline.dbt_process import NodeEnd
from saas_analytics.pipeline.masking import masked_text
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect


class NodeResults:
    """Writes the results of one run through `session`, which is in autocommit mode.

    `session` holds the lock of the warehouse. If it is lost, `lost` has the reason, and SIGTERM
    ends this process before another dbt can run at the same time.
    """

    COMMANDS = frozenset({"build", "run", "test", "seed", "snapshot", "retry"})

    def __init__(self, session: psycopg.Connection, run_id: str) -> None:
        self._session = session
        self._run_id = run_id
        self.lost: psycopg.Error | None = None
        self._lock = Lock()  # dbt reports events from the threads that build the nodes
        # If the server crashes, the last results are lost together with their models.
        session.execute("set synchronous_commit to off")

    def on_node(self, end: NodeEnd) -> None:
        """A listener of dbt_process.run."""
        row = [
            self._run_id,
            end.node,
            end.status,
            end.seconds,
            end.rows,
            end.failures,
            masked_text(end.message) or None,  # messages of the server quote values
        ]
        with self._lock:
            try:
                self._session.execute(_WRITE, row)
            except psycopg.OperationalError as error:
                print(
                    f"The result of {end.node} is not in quality.dbt_results: {error}",
                    file=sys.stderr,
                )
                if self._session.closed and self.lost is None:
                    self.lost = error
                    # dbt then cancels its queries, at the command line and in Airflow.
                    os.kill(os.getpid(), signal.SIGTERM)


def failures(settings: Settings, run_id: str) -> dict[str, str]:
    """The nodes of a dbt run that failed, each with a text. It has the first rows of a test."""
    with connect(settings, "transformer", application_name="node_results") as session:
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
    with connect(settings, "transformer", application_name="node_results") as session:
        return {node_id for (node_id,) in session.execute(_PASSED, [run_id])}


_WRITE = """
insert into quality.dbt_results (run_id, node_id, status, seconds, rows_affected, failures, message)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (run_id, node_id) do update set
    status = excluded.status,
    seconds = excluded.seconds,
    rows_affected = excluded.rows_affected,
    failures = excluded.failures,
    message = excluded.message,
    finished_at = excluded.finished_at
"""
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
