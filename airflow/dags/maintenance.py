"""Once a week: vacuum and analyze what needs it, and delete old logs, results and runs by the settings in .env."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from warehouse_tasks import Command, tell_failed_run, tell_failure, tell_success

with DAG(
    dag_id="maintenance",
    description="Vacuums, and deletes what is older than the settings keep",
    doc_md=__doc__,
    schedule="0 4 * * 0",
    catchup=False,
    max_active_runs=1,
    on_failure_callback=tell_failed_run,
    is_paused_upon_creation=False,
    params={"warehouse": Param(None, type=["null", "string"], title="Database (default: WAREHOUSE_DB of .env)")},
    default_args={
        "do_xcom_push": False,
        "on_failure_callback": tell_failure,
        "on_success_callback": tell_success,
    },
    tags=["weekly"],
):
    Command(
        task_id="maintain", command="maintenance", retries=2, retry_delay=timedelta(minutes=10)
    )
