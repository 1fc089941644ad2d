"""Waiting in tests: until something happens, with limits that grow with the load of the machine.

A limit only ends a test that hangs. No test measures time by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

_SPIN = 0.05  # seconds of processor time


def slowness() -> float:
    """The factor by which other work slows this process down, at least 1; a short spin shows it."""
    begun, used = time.monotonic(), time.process_time()
    while time.process_time() - used < _SPIN:
        pass
    return max(1.0, (time.monotonic() - begun) / _SPIN)


def patience(seconds: float) -> float:
    """The limit in seconds for work that takes a fraction of `seconds` on an idle machine."""
    return seconds * slowness()


def wait_until(
    condition: Callable[[], bool], seconds: float = 120, what: str = "the condition never held"
) -> None:
    """Wait until the condition holds. AssertionError with `what` if it does not.

    `seconds` is the limit on an idle machine.
    """
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < deadline, what
        Event().wait(0.1)
