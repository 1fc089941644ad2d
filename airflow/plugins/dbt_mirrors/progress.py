"""What a running build tells its mirrors: one XCom of the build task, written over and over.

The build writes it with `Reporter`; the triggerer reads it and decides with `ending` how a mirror ends.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Literal

from dbt_mirrors.graph import Graph
from dbt_mirrors.results import Results

XCOM_KEY = "dbt_mirrors"
SECONDS_BETWEEN = 0.5
# A machine that is so busy that telling takes long is not kept busier: telling gets this share of the time at most.
_SHARE = 0.1
_LONGEST_PAUSE = 10.0
TERMINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# States of a build that ran: clearing a mirror of such a build runs the model again.
HAS_RUN = frozenset({"success", "failed"})

End = Literal["success", "failed", "skipped", "rerun"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The build as it was when it was looked at."""

    state: str | None  # of its task
    told: Mapping[str, Any] | None  # {"began": float, "is_last": bool, "mirrors": {name: [end, reason]}}


def ending(now: Snapshot, mirror: str, began: float) -> tuple[End, str] | None:
    """How the mirror ends, and why; None while that is open.

    A failure counts when the build is over: until then a retry may mend it. `began` is when the mirror's run did, in
    seconds; a run that has ended begins again when something in it is cleared, and what was told before is then about a
    former build.
    """
    over = now.state in TERMINAL
    told = now.told or {}
    if now.told is None or told["began"] < began:
        if not over:
            return None
        if now.told is not None and now.state in HAS_RUN:
            return "rerun", "Cleared by itself: the model is built again"
        return "skipped", f"The build ended without it: {now.state}"
    end, reason = told["mirrors"].get(mirror, (None, ""))
    if end == "success":
        return "success", reason
    if not over:
        return None
    if end == "failed":
        return "failed", reason
    return "skipped", reason or "Not in this build"


class Reporter:
    """Tells and keeps the results of a build every half second, from a thread of its own, as long as it is entered."""

    def __init__(
        self, results: Results, graph: Graph, began: float, tell: Callable[[Any], None], keep: Callable[[], None]
    ) -> None:
        """`tell` pushes the XCom; `keep` stores the results for the next try."""
        self._results = results
        self._graph = graph
        self._began = began
        self._tell = tell
        self._keep = keep
        self._told = -1  # version of the results
        self._end = Event()
        self._parent = os.getppid()
        self._thread = Thread(target=self._run, name="dbt_mirrors reporter", daemon=True)

    def __enter__(self) -> Reporter:
        # Also when nothing is known yet: what a former try has told is no longer so.
        self._report()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._end.set()
        self._thread.join()
        self._report(is_last=True)

    def _run(self) -> None:
        failing = False
        took = 0.0
        while not self._end.wait(min(_LONGEST_PAUSE, max(SECONDS_BETWEEN, took / _SHARE))):
            if os.getppid() != self._parent:
                # Nobody watches this task any more; the scheduler will start it again elsewhere.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            started = time.monotonic()
            try:
                self._report()
                failing = False
            except Exception as error:  # the build goes on without its grid; the next half second tries again
                if not failing:
                    print(f"Airflow did not take the progress of dbt, trying again: {error}", flush=True)
                failing = True
            took = time.monotonic() - started

    def _report(self, *, is_last: bool = False) -> None:
        version = self._results.version
        if is_last or version != self._told:
            mirrors = self._results.by_mirror(self._graph)
            self._tell({"began": self._began, "is_last": is_last, "mirrors": mirrors})
            self._keep()
            self._told = version
