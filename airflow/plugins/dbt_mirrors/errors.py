"""How a build can fail, and which failures are worth a retry."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule


class BuildFailed(Exception):
    """Nodes failed, or dbt stopped before the end of the build."""


class TestsFailed(BuildFailed):
    """Tests found bad rows. A retry would find the same ones."""


class ProjectBroken(BuildFailed):
    """dbt could not read the project or its arguments."""


RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=TestsFailed,
            action=RetryAction.FAIL,
            reason="The same data would fail the same test again",
        ),
        RetryRule(
            exception=ProjectBroken,
            action=RetryAction.FAIL,
            reason="A retry cannot fix the project",
        ),
    ]
)
