"""Every ten minutes: land new files from incoming/, and build the affected rows. Initially paused.

If no file has arrived, a run ends within seconds and does not start dbt.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param

from saas_analytics.pipeline.dbt_project import target_path
from saas_analytics.pipeline.transform import TRANSFORM_POOL
from saas_analytics.settings import load_settings
from warehouse_tasks import (
    Command,
    WarehouseBuild,
    notify_failed_run,
    notify_failure,
    notify_success,
)

with DAG(
    dag_id="saas_analytics_microbatch",
    description="Lands new files from incoming/ and builds the affected rows",
    doc_md=__doc__,
    schedule=timedelta(minutes=10),
    catchup=False,
    max_active_runs=1,
    on_failure_callback=notify_failed_run,
    is_paused_upon_creation=True,
    params={
        "warehouse": Param(
            None, type=["null", "string"], title="Database (default: WAREHOUSE_DB of .env)"
        )
    },
    default_args={
        "do_xcom_push": False,
        "on_failure_callback": notify_failure,
        "on_success_callback": notify_success,
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=5),
    },
    tags=["micro-batch"],
):
    land = Command(task_id="land_incoming", command="land-incoming")
    dbt_build = WarehouseBuild(
        task_id="dbt_build",
        manifest=target_path(load_settings()) / "manifest.json",
        skip_unchanged=True,
        trigger_rule="all_done",  # one file that cannot land does not stop the others
        pool=TRANSFORM_POOL,
    )

    # The last task decides how the run ended. Landing counts for that too, not only the build.
    ended = EmptyOperator(task_id="ended")

    land >> dbt_build >> ended
    land >> ended
