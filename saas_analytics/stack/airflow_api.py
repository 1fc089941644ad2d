"""A client for the part of Airflow's REST API that the stack uses.

A call takes milliseconds; the `airflow` command takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any

import httpx

from saas_analytics.errors import AnalyticsError
from saas_analytics.stack.airflow import ADMIN

FINISHED = frozenset({"success", "failed"})
PATIENCE = 120  # seconds for Airflow to come back after a kill, while a run is awaited
PARALLEL_DAYS = 8  # of a backfill
# A change has the time of its statement, and is visible once its transaction commits.
_OVERLAP = timedelta(seconds=10)


class AirflowApiError(AnalyticsError):
    """Airflow did not answer, or refused the call. The message says which."""


@dataclass(frozen=True, slots=True)
class Task:
    """One try of a task in a run."""

    task_id: str
    state: str | None
    try_number: int
    operator: str = ""

    @property
    def is_step(self) -> bool:
        """False for the mirror of a model, which only shows what the step dbt_build does."""
        return self.operator != "DbtMirror"


class AirflowApi:
    """A client for one Airflow, as its admin."""

    def __init__(self, url: str, password: str) -> None:
        self._password = password
        self._token: str | None = None
        # No proxy: Airflow is on this machine.
        self._http = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def health(self) -> dict[str, bool]:
        """Which of metadatabase, scheduler, dag_processor and triggerer are healthy."""
        answer = self.call("GET", "/api/v2/monitor/health")
        return {
            name: part.get("status") == "healthy"
            for name, part in answer.items()
            if isinstance(part, dict)
        }

    def knows(self, dag_id: str) -> bool:
        """Whether the DAG exists, so that it can be triggered."""
        response = self._send("GET", f"/api/v2/dags/{dag_id}")
        return response.status_code == 200

    def warm_up(self) -> None:
        """Initialise the API that tasks call.

        This takes seconds. Otherwise the first task would wait for it.
        """
        self.call("GET", "/execution/health")

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool if it is missing. An existing pool keeps its number of slots."""
        if self._send("GET", f"/api/v2/pools/{name}").status_code == 404:
            self.call(
                "POST", "/api/v2/pools", {"name": name, "slots": slots, "description": description}
            )

    def import_errors(self) -> list[str]:
        answer = self.call("GET", "/api/v2/importErrors")
        return [
            f"{entry['filename']}: {entry['stack_trace'].strip()}"
            for entry in answer["import_errors"]
        ]

    def trigger(self, dag_id: str, day: date, conf: dict[str, Any]) -> str:
        """Start a run for `day` and return its id.

        The run has no logical date, so a day can run any number of times.
        """
        run_id = f"manual__{day}__{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
        body = {
            "dag_run_id": run_id,
            "logical_date": None,
            "conf": {"day": day.isoformat(), **conf},
        }
        self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.call("GET", _run_path(dag_id, run_id))["state"])

    def tasks(self, dag_id: str, run_id: str, changed_since: datetime | None = None) -> list[Task]:
        """The tasks of a run, or only those that changed since a moment.

        Each task costs Airflow a millisecond or more.
        """
        tasks: list[Task] = []
        changed = f"&updated_at_gte={changed_since:%Y-%m-%dT%H:%M:%S}Z" if changed_since else ""
        while True:
            query = f"limit=100&offset={len(tasks)}{changed}"
            page = self.call("GET", f"{_run_path(dag_id, run_id)}/taskInstances?{query}")
            tasks += [
                Task(t["task_id"], t["state"], t["try_number"], t["operator_name"])
                for t in page["task_instances"]
            ]
            if not page["task_instances"] or len(tasks) >= page["total_entries"]:
                return tasks

    def task_log(self, dag_id: str, run_id: str, task: Task) -> list[str]:
        """The lines that the task wrote."""
        instance = f"{_run_path(dag_id, run_id)}/taskInstances/{task.task_id}"
        content = self.call("GET", f"{instance}/logs/{task.try_number}")["content"]
        return [line["event"] if isinstance(line, dict) else str(line) for line in content]

    def backfill(self, dag_id: str, first: date, last: date, conf: dict[str, Any]) -> int:
        """Start a run for each day from `first` to `last`, and return the number of the backfill.

        Days that ran before run again. Some days run in parallel: they land together, and the first
        dbt that finds all of them builds for all.
        """
        body = {
            "dag_id": dag_id,
            # Airflow counts by the day on which a run starts: the one after the day it processes.
            "from_date": _midnight(first + timedelta(days=1)).isoformat(),
            "to_date": _midnight(last + timedelta(days=2)).isoformat(),
            "dag_run_conf": conf,
            "reprocess_behavior": "completed",
            "max_active_runs": PARALLEL_DAYS,
        }
        return int(self.call("POST", "/api/v2/backfills", body)["id"])

    def backfill_states(self, dag_id: str, first: date, last: date) -> dict[date, tuple[str, str]]:
        """The id and the state of the backfill run of each day that has one."""
        runs: dict[date, tuple[str, str]] = {}
        after = last + timedelta(days=1)
        window = f"logical_date_gte={first}T00:00:00Z&logical_date_lt={after}T00:00:00Z"
        while True:
            query = f"run_type=backfill&{window}&limit=100&offset={len(runs)}"
            page = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?{query}")
            for run in page["dag_runs"]:
                runs[datetime.fromisoformat(run["logical_date"]).date()] = (
                    run["dag_run_id"],
                    run["state"],
                )
            if not page["dag_runs"] or len(runs) >= page["total_entries"]:
                return runs

    def wait(
        self, dag_id: str, run_id: str, report: Callable[[str], None], seconds: float | None = None
    ) -> bool:
        """Wait for the end of a run. Return whether it succeeded.

        `report` gets a line for each change of a step and for each failed or skipped model.
        AirflowApiError if none of its tasks changes for `seconds` (None: no limit).
        """
        known: dict[str, tuple[str | None, int]] = {}
        changed_at = time.monotonic()
        silent_since = None  # Airflow, or its database, does not answer
        answered_at = None  # the time of the last call with an answer
        while True:
            asked = datetime.now(UTC)
            try:
                state = self.run_state(dag_id, run_id)
                tasks = self.tasks(dag_id, run_id, answered_at and answered_at - _OVERLAP)
                silent_since, answered_at = None, asked
            except AirflowApiError:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > PATIENCE:
                    raise
                Event().wait(1)
                continue
            for task in tasks:
                if known.get(task.task_id) == (task.state, task.try_number):
                    continue
                known[task.task_id] = (task.state, task.try_number)
                changed_at = time.monotonic()
                if task.state and (task.is_step or task.state in ("failed", "skipped")):
                    tries = f" (try {task.try_number})" if task.try_number > 1 else ""
                    report(f"{task.task_id}: {task.state.replace('_', ' ')}{tries}")
            if state in FINISHED:
                return state == "success"
            if seconds is not None and time.monotonic() - changed_at > seconds:
                raise AirflowApiError(
                    f"The run {run_id} of {dag_id} is {state}. "
                    f"None of its tasks has changed for {seconds:.0f} s."
                )
            # Polling takes at most a tenth of the time: the run needs Airflow too.
            Event().wait(max(0.5, 9 * (datetime.now(UTC) - asked).total_seconds()))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make any call of the API. AirflowApiError if the answer is an error."""
        response = self._send(method, path, body)
        if response.is_error:
            raise AirflowApiError(
                f"Airflow answered {response.status_code} to {method} {path}: {_detail(response)}"
            )
        return response.json()

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            if self._token is None and not path.endswith("/monitor/health"):
                self._log_in()
            response = self._request(method, path, body)
            if response.status_code == 401:  # the token has expired
                self._log_in()
                response = self._request(method, path, body)
            return response
        except httpx.HTTPError as error:
            raise AirflowApiError(
                f"Airflow does not answer at {self._http.base_url}: "
                f"{error or type(error).__name__}. "
                "`make status` shows what runs, `make up` starts it."
            ) from error

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return self._http.request(method, path, json=body, headers=headers)

    def _log_in(self) -> None:
        answer = self._http.post(
            "/auth/token", json={"username": ADMIN, "password": self._password}
        )
        if answer.is_error:
            raise AirflowApiError(
                f"Airflow refused the password of {ADMIN} that is in .env ({answer.status_code}). "
                "If it was changed while the stack ran: `make down && make up`."
            )
        self._token = answer.json()["access_token"]


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json().get("detail", response.text))
    except ValueError:
        return response.text[:300]
