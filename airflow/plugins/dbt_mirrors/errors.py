"""How a build can fail, and which failure is worth another try."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule


class BuildFailed(Exception):
    """dbt ended with failed nodes, or did not get to its end."""


class TestsFailed(BuildFailed):
    """Tests found rows that should not be there. They will find them again."""


class ProjectBroken(BuildFailed):
    """dbt could not read the project or its arguments."""


RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=TestsFailed, action=RetryAction.FAIL, reason="Data that failed a test fail it again"),
        RetryRule(exception=ProjectBroken, action=RetryAction.FAIL, reason="A project does not mend itself"),
    ]
)
