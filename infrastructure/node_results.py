"""What became of each node of a dbt run, kept in quality.dbt_results as the nodes finish.

One row for a run and a node: a retry of the run writes over what it does again, and keeps what it does not.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Lock
from typing import Any

import psycopg

from infrastructure.failing_rows import masked_text


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

    def on_event(self, event: Any) -> None:
        """A callback for dbt's events."""
        if event.info.name != "NodeFinished":
            return
        node, result = event.data.node_info, event.data.run_result
        # Hooks are dbt's own business, and nothing happens to an exposure: dbt only counts it as a node.
        if node.unique_id.startswith(("operation.", "exposure.")):
            return
        response = dict(result.adapter_response)
        rows = response.get("rows_affected")
        row = [
            self._run_id,
            node.unique_id,
            result.status,
            round(result.execution_time, 3),
            rows if rows is not None and rows >= 0 else None,  # PostgreSQL's -1: a statement that counts none
            result.num_failures,
            masked_text(result.message or "") or None,  # a message of the server quotes values
        ]
        with self._lock:
            try:
                self._session.execute(_WRITE, row)
            except psycopg.OperationalError as error:
                print(f"The result of {node.unique_id} is not in quality.dbt_results: {error}", file=sys.stderr)
                if self._session.closed and self.lost is None:
                    self.lost = error
                    os.kill(os.getpid(), signal.SIGTERM)  # dbt cancels its queries, at the command line and in Airflow


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
