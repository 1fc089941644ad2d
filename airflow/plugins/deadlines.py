"""A deadline that counts from the creation of a run. Airflow finds it as a plugin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.definitions.deadline import BaseDeadlineReference


class RunIsMade(BaseDeadlineReference):  # type: ignore[misc]
    """The time at which a run is created. Airflow's database has the name of this class.

    DAGRUN_QUEUED_AT is the same time, but with it Airflow 3.3 refuses to clear tasks
    (apache/airflow#70368).
    """

    def _evaluate_with(self, **kwargs: Any) -> datetime:
        return datetime.now(UTC)


class Deadlines(AirflowPlugin):  # type: ignore[misc]
    """Registers the deadline above."""

    name = "deadlines"
    deadline_references = [RunIsMade]  # noqa: RUF012
