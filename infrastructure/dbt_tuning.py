"""Two things that dbt does for each node of a run and that need not be done: a fifth of the time of a small build.

What a run does stays the same, and a plain `dbt build` does it too, only slower. DECISIONS.md, 46, has the figures.
"""

from __future__ import annotations


def tune() -> None:
    """Change dbt in this process, once. dbt must have been imported."""
    _keep_sessions()
    _render_arguments_without_a_copy()


def _keep_sessions() -> None:
    """Let a thread keep its session with PostgreSQL from node to node, as dbt-snowflake does by `reuse_connections`.

    dbt-postgres ends it after each node. A new one costs 10 ms of processor time, half of it in the server, which then
    reads its catalogue anew. What a node left open in the session is rolled back, as it was before.
    """
    from dbt.adapters.contracts.connection import ConnectionState
    from dbt.adapters.postgres import PostgresAdapter

    class KeptSessions(PostgresAdapter.ConnectionManager):  # type: ignore[misc]
        def release(self) -> None:
            connection = self.get_if_exists()
            if connection is None or connection.state != ConnectionState.OPEN:
                super().release()
                return
            self._rollback_handle(connection)
            connection.transaction_open = False
            if connection.handle.closed:  # a session that is lost
                super().release()

    if PostgresAdapter.ConnectionManager.__name__ != KeptSessions.__name__:
        PostgresAdapter.ConnectionManager = KeptSessions


def _render_arguments_without_a_copy() -> None:
    """Render the arguments of a generic test in the context as it is.

    dbt 1.12 looks names up in a chain of dictionaries, so that a context need not hold the thousand macros. Only its
    template for arguments still copies the chain for each text, and makes an object of each macro, which takes 5 ms.
    """
    from dbt_common.clients.jinja import MacroFuzzTemplate, NativeSandboxTemplate

    NativeSandboxTemplate.new_context = MacroFuzzTemplate.new_context  # type: ignore[method-assign, assignment]
