"""A deadline that counts from the making of a run. Airflow finds it as a plugin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.definitions.deadline import BaseDeadlineReference


class RunIsMade(BaseDeadlineReference):  # type: ignore[misc]
    """DAGRUN_QUEUED_AT would say the same, but Airflow 3.3 then refuses to clear tasks (apache/airflow#70368)."""

    def _evaluate_with(self, **kwargs: Any) -> datetime:
        return datetime.now(UTC)


class Deadlines(AirflowPlugin):  # type: ignore[misc]
    """Registers the deadline above."""

    name = "deadlines"
    deadline_references = [RunIsMade]  # noqa: RUF012
