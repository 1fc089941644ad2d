"""What a running build reports to its mirrors: one XCom of the build task, overwritten repeatedly.

The build writes it with `Reporter`. The triggerer reads it and decides with `ending` how a mirror
ends.
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
# A report takes long on a busy machine. Reporting gets at most this share of the time, so that it
# does not add to the load.
_SHARE = 0.1
_LONGEST_PAUSE = 10.0
TERMINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# States of a build that ran. A mirror of such a build that is cleared builds its model again.
HAS_RUN = frozenset({"success", "failed"})

End = Literal["success", "failed", "skipped", "rerun"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A build at one moment."""

    state: str | None  # of its task
    # {"began": float, "is_last": bool, "mirrors": {name: [end, reason]}}; None before the first one
    report: Mapping[str, Any] | None


def ending(now: Snapshot, mirror: str, began: float) -> tuple[End, str] | None:
    """How the mirror ends, and why; None while that is undecided.

    A failure counts only when the build is over: until then a retry may fix it. `began` is the
    start of the mirror's run, in seconds. A finished run starts again when something in it is
    cleared. Then a report with an earlier start is about the previous build.
    """
    over = now.state in TERMINAL
    report = now.report or {}
    if now.report is None or report["began"] < began:
        if not over:
            return None
        if now.report is not None and now.state in HAS_RUN:
            return "rerun", "Cleared alone: the model is built again"
        return "skipped", f"The build did not run it: {now.state}"
    end, reason = report["mirrors"].get(mirror, (None, ""))
    if end == "success":
        return "success", reason
    if not over:
        return None
    if end == "failed":
        return "failed", reason
    return "skipped", reason or "Not in this build"


class Reporter:
    """A context manager that publishes and stores the results of a build every half second.

    It uses a thread of its own.
    """

    def __init__(
        self,
        results: Results,
        graph: Graph,
        began: float,
        publish: Callable[[Any], None],
        store: Callable[[], None],
    ) -> None:
        """`publish` pushes the XCom. `store` saves the results for the next try.

        `began` is the start of the run, in seconds.
        """
        self._results = results
        self._graph = graph
        self._began = began
        self._publish = publish
        self._store = store
        self._reported = -1  # version of the results
        self._end = Event()
        self._parent = os.getppid()
        self._thread = Thread(target=self._run, name="dbt_mirrors reporter", daemon=True)

    def __enter__(self) -> Reporter:
        # Even without a result: this replaces the report of the previous try.
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
                # This task has lost its supervisor. The scheduler starts it again elsewhere.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            started = time.monotonic()
            try:
                self._report()
                failing = False
            except Exception as error:  # the build goes on; the next report is half a second away
                if not failing:
                    print(f"Airflow refused the progress of dbt, trying again: {error}", flush=True)
                failing = True
            took = time.monotonic() - started

    def _report(self, *, is_last: bool = False) -> None:
        version = self._results.version
        if is_last or version != self._reported:
            mirrors = self._results.by_mirror(self._graph)
            self._publish({"began": self._began, "is_last": is_last, "mirrors": mirrors})
            self._store()
            self._reported = version
