"""The daily run: generate a day's files, land them, build and test the models, publish a summary.

Every task is a command of this project that also works by hand. The tasks after dbt_build each show
one of its models. `day_of_run` says which day a run is for.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param
from airflow.timetables.trigger import CronTriggerTimetable

from dbt_mirrors import mirror_models
from saas_analytics.pipeline.dbt_project import target_path
from saas_analytics.pipeline.transform import TRANSFORM_POOL
from saas_analytics.settings import load_settings
from warehouse_tasks import (
    Command,
    WarehouseBuild,
    day_of_run,
    deadline,
    notify_ended_run,
    notify_failed_run,
    notify_failure,
    notify_success,
)

DAY_AFTER_DAY = CronTriggerTimetable(
    # Half an hour after midnight UTC, for the day before: the run's logical date.
    "30 0 * * *",
    timezone="UTC",
    interval=timedelta(days=1),
    run_immediately=timedelta(0),  # a new stack runs first tomorrow, not at once
)
SETTINGS = load_settings()

with DAG(
    dag_id="saas_analytics_pipeline",
    description="Generates and lands a day, builds and tests the models, publishes a summary",
    doc_md=__doc__,
    schedule=DAY_AFTER_DAY,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    deadline=deadline(SETTINGS),
    on_failure_callback=notify_failed_run,
    on_success_callback=notify_ended_run,
    params={
        "day": Param(
            None, type=["null", "string"], format="date", title="Day (default: yesterday, UTC)"
        ),
        "warehouse": Param(
            None, type=["null", "string"], title="Database (default: WAREHOUSE_DB of .env)"
        ),
    },
    user_defined_macros={"day_of_run": day_of_run},
    default_args={
        "do_xcom_push": False,
        "on_failure_callback": notify_failure,
        "on_success_callback": notify_success,
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
    },
    tags=["daily"],
):
    DAY = "--day {{ day_of_run(dag_run) }}"
    generate = Command(task_id="generate", command=f"generate {DAY}", only_with="synthetic_company")
    land = Command(task_id="land", command=f"land {DAY}", trigger_rule="none_failed")
    freshness = Command(task_id="source_freshness", command="freshness", pool=TRANSFORM_POOL)
    dbt_build = WarehouseBuild(
        task_id="dbt_build",
        manifest=target_path(SETTINGS) / "manifest.json",
        pool=TRANSFORM_POOL,
    )
    # After a failed build too: the report says what failed.
    quality_report = Command(
        task_id="quality_report", command=f"quality-report {DAY}", trigger_rule="all_done"
    )
    publish = Command(task_id="publish", command=f"publish {DAY}")

    generate >> land >> freshness >> dbt_build >> [quality_report, publish]
    mirror_models(dbt_build)
