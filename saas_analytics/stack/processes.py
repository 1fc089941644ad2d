"""Finds and ends the processes of a stack."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from saas_analytics.layout import MARK_PROGRAM, MARK_ROOT, Layout, StackError
from saas_analytics.stack.postgres import postmaster


def marked(root: Path | str, program: str | None = None) -> list[psutil.Process]:
    """The processes with the mark of the stack at `root`, and of `program` if given.

    This process and its ancestors are not among them.
    """
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in ours:
            continue
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            if environment.get(MARK_ROOT) == str(root) and program in (
                None,
                environment.get(MARK_PROGRAM),
            ):
                found.append(process)
    return found


def end(processes: Sequence[psutil.Process], patience: float) -> list[psutil.Process]:
    """Terminate processes, and kill those that still run after `patience` seconds.

    Returns the processes that survived even that.
    """
    if patience:
        _signal(processes, signal.SIGTERM)
        _, processes = psutil.wait_procs(processes, timeout=patience)
    _signal(processes, signal.SIGKILL)
    return psutil.wait_procs(processes, timeout=5)[1]


def stack_processes(layout: Layout) -> list[psutil.Process]:
    """The processes of this stack. While its supervisor does not run, they are orphans."""
    server = _server(layout)
    return [*marked(layout.root), *([server] if server else [])]


def end_orphans(layout: Layout) -> list[psutil.Process]:
    """End the processes of this stack that no supervisor watches, and return them.

    StackError if one does not end.
    """
    orphans = marked(layout.root)
    if server := _server(layout):
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        psutil.wait_procs([server], timeout=60)
        orphans.append(server)
    alive = end([process for process in orphans if process.is_running()], patience=10)
    if alive:
        raise StackError(
            f"These processes do not end: {', '.join(map(describe, alive))}. End them: kill -9 PID."
        )
    return orphans


def listener(port: int) -> psutil.Process | None:
    """The process that listens on a port of this machine, if this user may see it."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            address = connection.laddr
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.pid
                and address
                and address.port == port
            ):
                return psutil.Process(connection.pid)
    return None


def describe(process: psutil.Process | None) -> str:
    """A process in a few words, without its arguments, which may hold secrets."""
    if process is None:
        return "a process that this user cannot see"
    with suppress(psutil.Error):
        return f"{process.name()} (pid {process.pid}, user {process.username()})"
    return f"pid {process.pid}"


def _server(layout: Layout) -> psutil.Process | None:
    return postmaster(layout.postgres.resolve() / "data") if layout.postgres.exists() else None


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
