"""Locks between commands: one at a time starts or stops a stack, or takes ports."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saas_analytics.console import note
from saas_analytics.layout import Layout, StackError


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Only one command at a time starts or stops this stack; a second one waits."""
    with exclusive(
        layout.run / "lock", "Another command is starting or stopping this stack; waiting for it."
    ):
        yield


@contextmanager
def exclusive(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock of the file `path` for the block; print `waiting` if another process has it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StackError(
            f"{path} cannot be opened ({error.strerror}): remove it, or ask its owner to."
        ) from None
    with os.fdopen(handle, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
