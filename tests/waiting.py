"""How long tests wait: until something happens, with limits that follow how busy the machine is.

A limit only ends what hangs. No test measures time by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

_SPIN = 0.05  # seconds of processor time


def slowness() -> float:
    """How many times longer this process takes than it would by itself, as found by a short spin; at least 1."""
    begun, used = time.monotonic(), time.process_time()
    while time.process_time() - used < _SPIN:
        pass
    return max(1.0, (time.monotonic() - begun) / _SPIN)


def patience(seconds: float) -> float:
    """The limit for what takes a fraction of `seconds` on an idle machine."""
    return seconds * slowness()


def wait_until(
    condition: Callable[[], bool], seconds: float = 120, what: str = "it did not come to this"
) -> None:
    """Wait until the condition holds. `seconds` are those of an idle machine. AssertionError with `what` otherwise."""
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < deadline, what
        Event().wait(0.1)
