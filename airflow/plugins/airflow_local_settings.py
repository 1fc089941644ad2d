"""Airflow imports this module at the start of each of its processes."""

from __future__ import annotations

import sys

# These imports are for tasks and DAG files, whose processes are forked from here and inherit them.
# The scheduler's LocalExecutor forks one for each task. The dag-processor forks one for each DAG
# file, also for the callbacks of mirrors.
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else ""
if PROGRAM in ("scheduler", "dag-processor"):
    import httpx  # noqa: F401
    import psycopg.types.json  # noqa: F401
if PROGRAM == "scheduler":
    import numpy  # noqa: F401

    from saas_analytics.pipeline import dbt_process

    dbt_process.load()
