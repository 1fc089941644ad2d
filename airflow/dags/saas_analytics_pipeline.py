"""The daily run: make a day's files, land them, build and test the models, publish what came of it.

Every task is a command line of this project that works as well by hand. Which day a run is for: see `day_of_run`.
"""

from __future__ import annotations

import os
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param
from airflow.timetables.trigger import CronTriggerTimetable

ROOT = Path(__file__).resolve().parents[2]
DAY_AFTER_DAY = CronTriggerTimetable(
    # Half an hour after midnight UTC, for the day before, which is the run's logical date.
    "30 0 * * *",
    timezone="UTC",
    interval=timedelta(days=1),
    run_immediately=timedelta(0),  # the first run of a new stack is tomorrow's, not at once
)


def day_of_run(run: Any) -> date:
    """The day that a run processes: `day` of its configuration, otherwise its logical date,
    otherwise the day before it was started. Without a configuration never a day that is not over yet.
    """
    if (run.conf or {}).get("day"):
        return date.fromisoformat(run.conf["day"])
    yesterday: date = run.run_after.astimezone(UTC).date() - timedelta(days=1)
    logical: date = run.logical_date.astimezone(UTC).date() if run.logical_date else yesterday
    return min(logical, yesterday)


def warehouse_of_run(params: Any) -> str:
    """The database that a run works in: `warehouse` of its configuration, otherwise the stack's."""
    return str(params["warehouse"] or os.environ.get("WAREHOUSE_DB", ""))


with DAG(
    dag_id="saas_analytics_pipeline",
    description="Generates and lands a day, builds and tests the models, publishes a summary",
    doc_md=__doc__,
    schedule=DAY_AFTER_DAY,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={
        "day": Param(None, type=["null", "string"], format="date", title="Day (default: yesterday, UTC)"),
        "warehouse": Param(None, type=["null", "string"], title="Database (default: WAREHOUSE_DB of .env)"),
    },
    user_defined_macros={"day_of_run": day_of_run, "warehouse_of_run": warehouse_of_run},
    default_args={
        "cwd": str(ROOT),
        "env": {"WAREHOUSE_DB": "{{ warehouse_of_run(params) }}"},
        "append_env": True,
        "do_xcom_push": False,
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    },
    tags=["daily"],
):
    DAY = "--day {{ day_of_run(dag_run) }}"
    # Exit code 99 is a task that is skipped: nobody makes data where the synthetic company is switched off.
    generate = BashOperator(
        task_id="generate",
        bash_command=f'[ "$SYNTHETIC_COMPANY" = on ] || exit 99; python data_gen/generate.py {DAY}',
    )
    land = BashOperator(task_id="land", bash_command=f"python data_gen/land.py {DAY}", trigger_rule="none_failed")
    dbt_build = BashOperator(task_id="dbt_build", bash_command="python -m infrastructure.transform build")
    publish = BashOperator(task_id="publish", bash_command=f"python -m infrastructure.publish {DAY}")

    generate >> land >> dbt_build >> publish
