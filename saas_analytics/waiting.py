"""Waits for something that another process does."""

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
    """Check every `interval` seconds whether it is done, and return whether it is.

    False after `seconds`, or as soon as `has_failed` is true.
    """
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline or has_failed():
            return False
        Event().wait(interval)
    return True
