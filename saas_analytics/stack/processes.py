"""Finds the processes of a project's stack, and ends them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from saas_analytics.layout import MARK_PROGRAM, MARK_ROOT


def marked(root: Path | str, program: str | None = None) -> list[psutil.Process]:
    """Processes that carry the mark of the stack at `root` (and of `program`), but not this one and its ancestors."""
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
    """Ask processes to end, kill them when `patience` seconds are over; return those that live on."""
    if patience:
        _signal(processes, signal.SIGTERM)
        _, processes = psutil.wait_procs(processes, timeout=patience)
    _signal(processes, signal.SIGKILL)
    return psutil.wait_procs(processes, timeout=5)[1]


def listener(port: int) -> psutil.Process | None:
    """The process that listens on a port of this machine, where this user may see it."""
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
    """A process in a few words, without the arguments of its command line, which may hold secrets."""
    if process is None:
        return "a process that this user cannot see"
    with suppress(psutil.Error):
        return f"{process.name()} (pid {process.pid}, user {process.username()})"
    return f"pid {process.pid}"


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
