"""Two things that dbt does for each node of a run and that need not be done.

What a run does stays the same, and a plain `dbt build` does it too, only slower. DECISIONS.md, 46, has the figures.
"""

from __future__ import annotations

import select
from typing import Any


def tune() -> None:
    """Change dbt in this process, once. dbt must have been imported."""
    _keep_sessions()
    _render_arguments_without_a_copy()


def _keep_sessions() -> None:
    """Let a thread keep its session with PostgreSQL from node to node, as dbt-snowflake does by `reuse_connections`.

    dbt-postgres ends it after each node. A new one costs 10 ms of processor time, half of it in the server, which then
    reads its catalogue again. What a node left open in the session is rolled back, as it was before. The threads in
    which dbt lists what there is keep theirs too, until the run ends: some four sessions more.
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
                # dbt commits by a statement of its own, after which psycopg2 still sees a transaction. Without one, the
                # server would log a warning of each rollback.
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
    """Whether the server has ended an idle session: until then it says nothing."""
    poll = select.poll()
    poll.register(handle.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _render_arguments_without_a_copy() -> None:
    """Render the arguments of a generic test in the context as it is.

    dbt 1.12 looks names up in a chain of dictionaries, so that a context need not hold the thousand macros. Only its
    template for arguments still copies the chain for each text, and makes an object of each macro, which takes 5 ms.
    """
    from dbt_common.clients.jinja import MacroFuzzTemplate, NativeSandboxTemplate

    NativeSandboxTemplate.new_context = MacroFuzzTemplate.new_context  # type: ignore[method-assign, assignment]
