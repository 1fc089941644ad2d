"""Makes dbt skip three unnecessary steps at each node of a run.

The result of a run stays the same. A plain `dbt build` has it too, and is only slower.
DECISIONS.md, 46, has the figures.
"""

from __future__ import annotations

import select
from typing import Any


def tune() -> None:
    """Change dbt in this process, once. dbt must have been imported."""
    _keep_sessions()
    _render_arguments_without_a_copy()
    _format_only_written_lines()


def _keep_sessions() -> None:
    """Let a thread keep its session with PostgreSQL between nodes.

    dbt-snowflake does so with `reuse_connections`. dbt-postgres ends the session after each node. A
    new one costs 10 ms of processor time, half of it in the server, which reads its catalogue
    again. A transaction that a node left open is rolled back, as before. The threads in which dbt
    lists the relations keep their sessions until the run ends, too: about four more sessions.
    """
    import psycopg2
    from dbt.adapters.contracts.connection import Connection, ConnectionState
    from dbt.adapters.postgres import PostgresAdapter
    from psycopg2.extensions import STATUS_BEGIN, TRANSACTION_STATUS_IDLE

    class KeptSessions(PostgresAdapter.ConnectionManager):  # type: ignore[misc]
        def set_connection_name(self, name: str | None = None) -> Connection:
            connection = self.get_if_exists()
            kept = connection is not None and connection.state == ConnectionState.OPEN
            if kept and not connection.transaction_open and _has_ended(connection.handle):
                self.close(connection)
            return super().set_connection_name(name)

        def release(self) -> None:
            connection = self.get_if_exists()
            if connection is None or connection.state != ConnectionState.OPEN:
                super().release()
                return
            handle = connection.handle
            try:
                # dbt commits with a statement of its own, and psycopg2 still sees a transaction. If
                # there is none, the server would log a warning for each rollback.
                if (handle.status, handle.info.transaction_status) == (
                    STATUS_BEGIN,
                    TRANSACTION_STATUS_IDLE,
                ):
                    handle.cursor().execute("begin")
                handle.rollback()
                connection.transaction_open = False
            except psycopg2.Error:  # the session is lost: the next node opens another
                super().release()

    if PostgresAdapter.ConnectionManager.__name__ != KeptSessions.__name__:
        PostgresAdapter.ConnectionManager = KeptSessions


def _has_ended(handle: Any) -> bool:
    """Whether the server has ended an idle session: it sends nothing to a live one."""
    poll = select.poll()
    poll.register(handle.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _render_arguments_without_a_copy() -> None:
    """Render the arguments of a generic test without a copy of the context.

    dbt 1.12 looks names up in a chain of dictionaries, so a context need not hold the thousand
    macros. Only its template for arguments still copies the chain for each text, and makes an
    object of each macro, which takes 5 ms.
    """
    from dbt_common.clients import jinja

    new_context = jinja.MacroFuzzTemplate.new_context
    jinja.NativeSandboxTemplate.new_context = new_context  # type: ignore[method-assign, assignment]


def _format_only_written_lines() -> None:
    """Format an event for a log only if the log has its level.

    dbt formats each event for each log, and Python's logging then drops most lines. Formatting
    searches the whole environment for secrets, which takes a tenth of the time of a build.
    """
    import logging

    from dbt_common.events import logger

    write_line = logger._Logger.write_line

    def write_enabled_line(self: logger._Logger, message: Any) -> None:
        log = self._python_logger
        lowest = log.getEffectiveLevel() if log else logging.CRITICAL
        level = logger._log_level_map[logger.EventLevel(message.info.level)]
        # `print()` in a model is written at each level, so dbt calls it an error.
        if level >= lowest or logger._is_print_event(message):
            write_line(self, message)

    if write_line.__name__ != write_enabled_line.__name__:
        logger._Logger.write_line = write_enabled_line  # type: ignore[assignment, method-assign]
