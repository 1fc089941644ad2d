"""Runs dbt in this process, and reports the end of its nodes.

Only this module and dbt_tuning.py use what dbt has for Python.

dbt 1 passes its events to callbacks of its `dbtRunner`. The runner of dbt 2 takes no callbacks: its
events are lines of JSON on standard output (`--log-format json`), which this module would read.
See DECISIONS.md, 42.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from saas_analytics.pipeline.dbt_tuning import tune

# Nodes without a listener: hooks are internal to dbt, and an exposure is not run.
_UNHEARD = ("operation.", "exposure.")


@dataclass(frozen=True, slots=True)
class NodeEnd:
    """How a node of a run has ended."""

    node: str  # dbt's unique_id
    status: str  # success, error, skipped; of a test pass, fail, warn, error, skipped
    message: str = ""
    seconds: float = 0.0
    rows: int | None = None  # written by the last statement; None if it does not count rows
    failures: int | None = None  # rows that a test found
    query: str | None = None  # the compiled SQL; known when the whole run has ended
    test: str | None = None  # the name of a generic test, such as unique
    column: str | None = None  # the column that a test is for


Listener = Callable[[NodeEnd], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a dbt command has ended."""

    success: bool
    nodes: tuple[NodeEnd, ...] = ()  # including skipped ones and hooks
    lines: tuple[str, ...] = ()  # the output of `dbt ls`
    error: BaseException | None = None  # why dbt did not finish


def run(arguments: Sequence[str], listeners: Iterable[Listener] = ()) -> Outcome:
    """Run one dbt command, and report the end of each node to `listeners` at once.

    The thread that ran the node calls the listeners. A KeyboardInterrupt or SystemExit in this
    process ends dbt, which cancels its queries first, and is raised again.
    """
    load()
    from dbt.cli.main import dbtRunner

    heard = tuple(listeners)

    def on_event(event: Any) -> None:
        if event.info.name == "NodeFinished" and not event.data.node_info.unique_id.startswith(
            _UNHEARD
        ):
            end = _of_event(event.data)
            for listener in heard:
                listener(end)

    ended = dbtRunner(callbacks=[on_event] if heard else []).invoke(list(arguments))
    if isinstance(ended.exception, (KeyboardInterrupt, SystemExit)):
        raise ended.exception
    results = getattr(ended.result, "results", None) or []
    lines = tuple(ended.result) if isinstance(ended.result, list) else ()
    return Outcome(ended.success, tuple(map(_of_result, results)), lines, ended.exception)


def load() -> None:
    """Import dbt. That takes seconds, and not every module that imports this one needs it.

    dbt 1.12 loads an .env file into the environment of its process. Ours holds passwords that
    models must not see, and a scheduler that has imported dbt would no longer see changes of the
    file.
    """
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    import dbt.adapters.postgres
    import dbt.cli.main  # noqa: F401

    tune()


def _of_event(data: Any) -> NodeEnd:
    result = data.run_result
    return NodeEnd(
        data.node_info.unique_id,
        result.status,
        result.message or "",
        round(result.execution_time, 3),
        _rows(dict(result.adapter_response)),
        result.num_failures,
    )


def _of_result(result: Any) -> NodeEnd:
    node = getattr(result, "node", result)  # `dbt run-operation` gives the id alone
    metadata = getattr(node, "test_metadata", None)
    return NodeEnd(
        node.unique_id,
        str(getattr(result.status, "value", result.status)),
        result.message or "",
        round(result.execution_time, 3),
        _rows(result.adapter_response),
        getattr(result, "failures", None),
        getattr(node, "compiled_code", None),
        metadata.name if metadata else None,
        getattr(node, "column_name", None),
    )


def _rows(response: Any) -> int | None:
    rows = response.get("rows_affected")
    # PostgreSQL's -1: a statement that does not count rows.
    return int(rows) if rows is not None and rows >= 0 else None
