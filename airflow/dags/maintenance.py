"""Once a week: vacuum and analyze tables that need it; delete old logs, results and runs.

The settings in .env say what is old.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from warehouse_tasks import Command, notify_failed_run, notify_failure, notify_success

with DAG(
    dag_id="maintenance",
    description="Vacuums, and deletes data that is older than the settings allow",
    doc_md=__doc__,
    schedule="0 4 * * 0",
    catchup=False,
    max_active_runs=1,
    on_failure_callback=notify_failed_run,
    is_paused_upon_creation=False,
    params={
        "warehouse": Param(
            None, type=["null", "string"], title="Database (default: WAREHOUSE_DB of .env)"
        )
    },
    default_args={
        "do_xcom_push": False,
        "on_failure_callback": notify_failure,
        "on_success_callback": notify_success,
    },
    tags=["weekly"],
):
    Command(task_id="maintain", command="maintenance", retries=2, retry_delay=timedelta(minutes=10))
