"""The triggerer's part of the mirrors.

Each build has one poller, and each mirror that waits for the build has a trigger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import (
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)
from asgiref.sync import sync_to_async

from dbt_mirrors.progress import TERMINAL, XCOM_KEY, Snapshot, ending

# Seconds. Mirrors that end together cost little more than one: the dag-processor reads the DAG's
# file once for their callbacks, though they have none.
_PAUSE = 2.0
_LONGEST_PAUSE = 10.0
_POLLS_PER_STATE = 3  # the state of a running build is queried at every third poll
_NOT_STARTED = (None, "scheduled", "queued")
_SHARE = 0.1  # of the time that polling may take on a busy machine


class MirrorTrigger(BaseTrigger):  # type: ignore[misc]
    """Waits for the nodes of one mirror, and ends the task as they ended."""

    def __init__(self, build: str, mirror: str) -> None:
        """`build` is the dbt task of the same run, `mirror` the name of a `graph.Mirror`."""
        super().__init__()
        self.build = build
        self.mirror = mirror

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "dbt_mirrors.triggers.MirrorTrigger", {"build": self.build, "mirror": self.mirror}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        task: Any = self.task_instance
        run = task.get_template_context()["dag_run"]
        async with _Poller.of(task.dag_id, task.run_id, self.build) as poller:
            end, reason = await poller.ending(self.mirror, run.start_date.timestamp())
        self.log.info(reason)
        match end:
            case "success":
                yield TaskSuccessEvent()
            case "failed":
                yield TaskFailedEvent()
            case "skipped":
                yield TaskSkippedEvent()
            case "rerun":
                await self._wait_for_upstream(task)
                yield TriggerEvent({"mirror": self.mirror})

    async def _wait_for_upstream(self, task: Any) -> None:
        """Wait for the tasks upstream, so that mirrors cleared together run in model order."""
        upstream = task.task.get_flat_relative_ids(upstream=True)
        failures = 0
        while True:
            try:
                states = await sync_to_async(_states)(task.dag_id, task.run_id)
                if all(states.get(task_id, "removed") in TERMINAL for task_id in upstream):
                    return
                failures = 0
            except Exception as error:
                failures += 1
                print(
                    f"dbt_mirrors: no answer about the tasks upstream of {self.mirror}, "
                    f"try {failures}: {error!r}"
                )
            await asyncio.sleep(min(_LONGEST_PAUSE, _PAUSE * 2**failures))


def _states(dag_id: str, run_id: str, tasks: list[str] | None = None) -> dict[str, str | None]:
    """The state of each task of a run, or of some tasks, by task id."""
    found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=tasks, run_ids=[run_id])
    return found.get(run_id) or {}


class _Poller:
    """Polls one build for all of its mirrors in this process."""

    _pollers: ClassVar[dict[tuple[str, ...], _Poller]] = {}

    def __init__(self, dag_id: str, run_id: str, build: str) -> None:
        self._dag_id = dag_id
        self._run_id = run_id
        self._build = build
        self._users = 0
        self._snapshot: Snapshot | None = None
        self._changed = asyncio.Condition()
        self._polling: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def of(cls, *build: str) -> AsyncIterator[_Poller]:
        """The poller of a build (DAG, run, task). It lives as long as a mirror uses it."""
        poller = cls._pollers.get(build) or cls._pollers.setdefault(build, cls(*build))
        poller._users += 1
        if poller._polling is None:
            name = f"dbt_mirrors poller {build}"
            poller._polling = asyncio.create_task(poller._poll(), name=name)
        try:
            yield poller
        finally:
            poller._users -= 1
            if not poller._users:
                del cls._pollers[build]
                poller._polling.cancel()
                with suppress(asyncio.CancelledError):
                    await poller._polling

    async def ending(self, mirror: str, began: float) -> tuple[str, str]:
        async with self._changed:
            while True:
                if self._snapshot and (end := ending(self._snapshot, mirror, began)):
                    return end
                await self._changed.wait()

    async def _poll(self) -> None:
        failures = polls = 0
        while True:
            started = time.monotonic()
            try:
                snapshot = await sync_to_async(self._fetch)(polls % _POLLS_PER_STATE == 0)
                failures, polls = 0, polls + 1
                if snapshot != self._snapshot:
                    async with self._changed:
                        self._snapshot = snapshot
                        self._changed.notify_all()
                pause = min(_LONGEST_PAUSE, max(_PAUSE, (time.monotonic() - started) / _SHARE))
            except Exception as error:  # the API or the database is down; the mirrors wait for it
                failures += 1
                pause = min(_LONGEST_PAUSE, _PAUSE * 2**failures)
                print(
                    f"dbt_mirrors: no answer about {self._build} of {self._run_id}, "
                    f"try {failures}: {error!r}"
                )
            await asyncio.sleep(pause)

    def _fetch(self, query_state: bool) -> Snapshot:
        last = self._snapshot or Snapshot(None, None)
        if last.state == "running" and not query_state and not (last.report or {}).get("is_last"):
            return Snapshot("running", self._report())
        # The state comes first: a report that is read after the end of the build is the last one.
        state = _states(self._dag_id, self._run_id, [self._build]).get(self._build)
        return Snapshot(state, None if state in _NOT_STARTED else self._report())

    def _report(self) -> Any:
        return XCom.get_one(
            key=XCOM_KEY, dag_id=self._dag_id, run_id=self._run_id, task_id=self._build
        )
