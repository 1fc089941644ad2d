"""Airflow imports this in each of its processes, when it starts."""

from __future__ import annotations

import sys
from pathlib import Path

# DAG files and plugins use the project's own packages.
sys.path.append(str(Path(__file__).resolve().parents[2]))

# The scheduler's LocalExecutor forks the processes of the tasks: with dbt read here once, no task reads it again.
if "scheduler" in sys.argv[1:2]:
    import dbt.adapters.postgres
    import dbt.cli.main  # noqa: F401
