"""Writes the result of each node of a dbt run to quality.dbt_results when the node ends.

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
from saas_analytics.pipeline.failing_rows import masked_text


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
