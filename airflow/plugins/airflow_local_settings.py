"""Airflow imports this in each of its processes, when it starts."""

from __future__ import annotations

import sys

# What tasks and DAG files import is read here once, for the processes that are forked for them: the scheduler's
# LocalExecutor forks one for a task, the dag-processor one for a DAG file, and for mirrors that have ended.
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else ""
if PROGRAM in ("scheduler", "dag-processor"):
    import httpx  # noqa: F401
    import psycopg.types.json  # noqa: F401
if PROGRAM == "scheduler":
    import numpy  # noqa: F401

    from saas_analytics.pipeline import dbt_process

    dbt_process.load()
