"""Runs dbt on a warehouse, one dbt at a time.

Two builds at once would use the same names for their temporary tables. So dbt runs under an
advisory lock of the warehouse; a second dbt waits for it and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

import psycopg

from saas_analytics.pipeline import dbt_process
from saas_analytics.pipeline.dbt_process import Listener, Outcome
from saas_analytics.pipeline.dbt_project import dbt_environment, environment, target_path
from saas_analytics.pipeline.failing_rows import keep_failing_rows
from saas_analytics.pipeline.lineage import emit_lineage
from saas_analytics.pipeline.masking import masked_text
from saas_analytics.pipeline.node_results import NodeResults
from saas_analytics.pipeline.run_id import run_id_of_process
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect, ensure_warehouse

# The pool in Airflow whose one slot every task that runs dbt takes.
TRANSFORM_POOL = "transform"
# The application_name of dbt's sessions. Sessions of a dbt that is started by hand have another,
# so they are never taken for orphans.
APPLICATION_NAME = "transform"
# Key of the advisory lock, in the warehouse's own database.
_LOCK = 7_222_019
# The last one: the server checks whether the client of a long statement is still there.
_SESSION_OPTIONS = {
    "statement_timeout": "2h",
    "lock_timeout": "10min",
    "idle_in_transaction_session_timeout": "30min",
    "client_connection_check_interval": "5s",
}
_PATIENCE = 30_000  # milliseconds in which a terminated session must have ended


def run_dbt(
    settings: Settings, arguments: Sequence[str], listeners: Sequence[Listener] = ()
) -> Outcome:
    """Run one dbt command on the warehouse, in this process.

    A missing warehouse is created first, with its raw tables. Each node's end is reported to
    `listeners`, and stored in quality.dbt_results under `run_id_of_process`. dbt's output is
    printed without personal data. If the server ends the session that holds the lock, dbt is
    stopped, and WarehouseError raised.
    """
    # A large import, and Airflow's DAG files import this module over and over.
    from saas_analytics.landing.execution import prepare

    ensure_warehouse(settings)
    prepare(settings)
    with (
        _lock(settings) as session,
        environment({**dbt_environment(settings), **_session_environment(settings)}),
    ):
        _end_orphans(session)
        if not NodeResults.COMMANDS.intersection(arguments):
            return dbt_process.run(arguments, listeners)
        run_id = run_id_of_process()
        results = NodeResults(session, run_id)
        try:
            with redirect_stdout(_Masked(sys.stdout)):
                outcome = dbt_process.run(arguments, [*listeners, results.on_node])
        except (KeyboardInterrupt, SystemExit):
            if results.lost is None:
                raise
            raise WarehouseError(
                f"The session that held the lock of warehouse {settings.database} has ended, so"
                " dbt was stopped: another one could have started at the same time."
                f" {results.lost}\nDid the server restart? Run this again; finished models stay."
            ) from results.lost
        keep_failing_rows(session, run_id, outcome.nodes)
        if outcome.nodes:  # otherwise the files in the target path are those of the run before
            emit_lineage(settings, str(target_path(settings)))
        return outcome


class _Masked:
    """Standard output for dbt, which writes an event at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(masked_text(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _lock(settings: Settings) -> Iterator[psycopg.Connection]:
    """A session that holds the lock of the warehouse, in autocommit mode."""
    with connect(
        settings, "transformer", autocommit=True, application_name="transform lock"
    ) as session:
        taken = session.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        if taken != (True,):
            print(
                f"Another transform runs in warehouse {settings.database}: waiting for its end.",
                file=sys.stderr,
            )
            session.execute("select pg_advisory_lock(%s)", [_LOCK])
        yield session


def _end_orphans(session: psycopg.Connection) -> None:
    """End sessions of a killed dbt: as `session` holds the lock, no other dbt is alive."""
    ended = session.execute(
        """
        select pid, pg_terminate_backend(pid, %s), left(query, 80)
        from pg_stat_activity
        where datname = current_database() and usename = current_user and application_name = %s
        """,
        [_PATIENCE, APPLICATION_NAME],
    ).fetchall()
    for pid, has_ended, query in ended:
        print(f"Ended session {pid} of a transform that was killed: {query}", file=sys.stderr)
        if not has_ended:
            raise WarehouseError(
                f"Session {pid} of a transform that was killed does not end: {query}\nIts disk may"
                " hang. Look at the server's log, then run this again."
            )


def _session_environment(settings: Settings) -> dict[str, str]:
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION_OPTIONS.items())
    return {**settings.tls_environment(), "PGAPPNAME": APPLICATION_NAME, "PGOPTIONS": options}
