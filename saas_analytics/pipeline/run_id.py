"""The id under which the results of this process are stored."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def run_id_of_process() -> str:
    """The Airflow run that started this process; otherwise a new id of the process and the second.

    Ask once for each run, since the second differs.
    """
    return (
        os.environ.get("PIPELINE_RUN_ID")
        or f"command__{datetime.now(UTC):%Y%m%dT%H%M%S}__{os.getpid()}"
    )
