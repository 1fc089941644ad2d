"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event


def wait_until(
    is_done: Callable[[], object],
    *,
    seconds: float,
    interval: float,
    has_failed: Callable[[], object] = lambda: False,
) -> bool:
    """Ask every `interval` seconds whether it is done.

    False where it is not after `seconds`, or once `has_failed` says that it will never be.
    """
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline or has_failed():
            return False
        Event().wait(interval)
    return True
