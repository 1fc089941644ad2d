"""`make trigger` and `make backfill`: run the pipeline in Airflow, wait, and show what failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import Event

from saas_analytics.console import console, fail, note
from saas_analytics.layout import PIPELINE, StackError
from saas_analytics.settings import Settings
from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.airflow_api import FINISHED, AirflowApi


def trigger(settings: Settings, day: date, report: Callable[[str], None] | None = None) -> bool:
    """Run the pipeline for `day` and wait for its end. Return whether it succeeded.

    `report` gets each change of a step; by default it is printed. A failed run prints its log.
    """
    api = _api(settings)
    run_id = api.trigger(PIPELINE, day, {"warehouse": settings.database})
    note(f"Run {run_id}: {airflow_url(settings)}/dags/{PIPELINE}/runs/{run_id}")
    try:
        succeeded = api.wait(PIPELINE, run_id, report or _print_change)
    except KeyboardInterrupt:
        note(f"The run {run_id} continues in Airflow.")
        raise
    if not succeeded:
        _explain(api, run_id)
    return succeeded


def backfill(settings: Settings, first: date, last: date) -> bool:
    """Run the pipeline for each day from `first` to `last`. Return whether every day succeeded."""
    api = _api(settings)
    number = api.backfill(PIPELINE, first, last, {"warehouse": settings.database})
    days = (last - first).days + 1
    note(f"Backfill {number} of {days} days: {airflow_url(settings)}/dags/{PIPELINE}/backfills")
    reported: dict[date, str] = {}
    while True:
        runs = api.backfill_states(PIPELINE, first, last)
        for day, (_, state) in sorted(runs.items()):
            if state != "queued" and reported.get(day) != state:
                reported[day] = state
                _print_change(f"{day}: {state}")
        if all(state in FINISHED for _, state in runs.values()):
            break
        Event().wait(1)
    failed = [(day, run_id) for day, (run_id, state) in sorted(runs.items()) if state == "failed"]
    for day, run_id in failed:
        fail(f"The run for {day} failed.")
        _explain(api, run_id)
    missing = [
        first + timedelta(days=n) for n in range(days) if first + timedelta(days=n) not in runs
    ]
    for day in missing:
        fail(f"Airflow created no run for {day}: {why_no_run(day)}.")
    return not failed and not missing


def why_no_run(day: date) -> str:
    """Why Airflow created no run for a day of a backfill.

    It creates one for every day that is over and has no run in progress.
    """
    if day >= datetime.now(UTC).date():
        return "a day can be run when it is over (UTC)"
    return (
        "a run of this day goes on, by the clock or by another backfill; "
        "repeat the command when it has ended"
    )


def _api(settings: Settings) -> AirflowApi:
    api = AirflowApi(airflow_url(settings), settings.secret("AIRFLOW_ADMIN_PASSWORD"))
    if not api.knows(PIPELINE):
        raise StackError(
            f"Airflow at {airflow_url(settings)} does not know {PIPELINE}: "
            "`make up` waits until it does."
        )
    return api


def _print_change(text: str) -> None:
    console.print(f"  [dim]{datetime.now():%H:%M:%S}[/dim] {text}")


def _explain(api: AirflowApi, run_id: str) -> None:
    for task in api.tasks(PIPELINE, run_id):
        if task.state == "failed" and task.is_step:
            lines = api.task_log(PIPELINE, run_id, task)[-25:]
            fail(
                f"Task {task.task_id} failed at try {task.try_number}. The end of its log:\n"
                + "\n".join(lines)
            )
