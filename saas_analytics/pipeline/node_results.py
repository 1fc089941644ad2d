"""What became of each node of a dbt run, kept in quality.dbt_results as the nodes finish.

One row for a run and a node: a retry of the run writes over what it does again, and keeps what it does not.
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
    """Writes the results of one run through `session`, which holds the lock of the warehouse, in autocommit mode.

    `lost` is why that session is gone: this process is then ended by SIGTERM, before another dbt works beside it.
    """

    COMMANDS = frozenset({"build", "run", "test", "seed", "snapshot", "retry"})

    def __init__(self, session: psycopg.Connection, run_id: str) -> None:
        self._session = session
        self._run_id = run_id
        self.lost: psycopg.Error | None = None
        self._lock = Lock()  # dbt tells its events from the threads that build the nodes
        # What is lost with the server's last moment is lost with the models built in it too.
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
            masked_text(end.message) or None,  # a message of the server quotes values
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
                    os.kill(
                        os.getpid(), signal.SIGTERM
                    )  # dbt cancels its queries, at the command line and in Airflow


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
