"""`make demo`: lands the company's history, runs the pipeline in Airflow, and shows the results."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from saas_analytics.console import console, step
from saas_analytics.layout import Layout, StackError
from saas_analytics.metrics.kpi_table import print_kpis
from saas_analytics.pipeline.publish import dbt_results, newest_run
from saas_analytics.settings import Settings
from saas_analytics.stack import runs
from saas_analytics.stack.logs import last_lines
from saas_analytics.stack.status import print_addresses
from saas_analytics.warehouse import connect

DAYS_AT_ONCE = 6


def demo(settings: Settings, analytics: Sequence[str]) -> bool:
    """Run the demo in a stack that is up. Return whether the pipeline succeeded.

    Days that have landed are not landed again. `analytics` is the beginning of a command line that
    runs a command of this project.
    """
    if not settings.synthetic_company or settings.company_founded is None:
        raise StackError(
            "The demo shows the synthetic company, which is off or has no first day in "
            f"{settings.root / '.env'}. Set SYNTHETIC_COMPANY=on and COMPANY_FOUNDED=YYYY-MM-DD "
            "there, or bring your own files (README)."
        )
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    land_history(settings, analytics, settings.company_founded, yesterday - timedelta(days=1))
    with step(f"Airflow has run the pipeline for {yesterday}") as progress:
        if not runs.trigger(settings, yesterday, progress):
            return False
    console.print()
    print_kpis(settings)
    _show_tests(settings)
    console.print()
    print_addresses(settings)
    return True


def land_history(settings: Settings, analytics: Sequence[str], first: date, last: date) -> None:
    """Generate and land the days from `first` to `last` that have not landed yet."""
    missing = [day for day in _days(first, last) if day not in _landed_days(settings, first, last)]
    if not missing:
        return
    log = Layout(settings.root).log("demo")
    spans = _spans(missing)
    done = 0
    with (
        step(f"{len(missing)} days of history are landed") as progress,
        ThreadPoolExecutor(1) as generator,
    ):
        progress(f"from {first} to {last}, {(last - first).days + 1 - len(missing)} had landed")
        # The files of the next days are generated while the previous ones land.
        upcoming: Future[None] = generator.submit(
            _run, settings, analytics, "generate", spans[0], log
        )
        for number, span in enumerate(spans):
            upcoming.result()
            if number + 1 < len(spans):
                upcoming = generator.submit(
                    _run, settings, analytics, "generate", spans[number + 1], log
                )
            _run(settings, analytics, "land", span, log)
            done += len(span)
            progress(f"{span[-1]} ({done} of {len(missing)} days)")


def _landed_days(settings: Settings, first: date, last: date) -> set[date]:
    """The days that have landed completely.

    A day without some source, or the newest day, may have been interrupted: it is not among them.
    """
    with connect(settings, "owner") as warehouse:
        rows = warehouse.execute(
            """
            with days as (
                select landed_on, count(distinct source) as sources
                from raw.loads
                where origin = 'zone' and superseded_by is null and landed_on between %s and %s
                group by landed_on
            )
            select landed_on
            from days
            where sources = (select max(sources) from days)
                and landed_on < (select max(landed_on) from days)
            """,
            [first, last],
        )
        return {row[0] for row in rows}


def _run(
    settings: Settings, analytics: Sequence[str], command: str, days: Sequence[date], log: Path
) -> None:
    arguments = ["--day", days[0].isoformat(), "--days", str(len(days))]
    with log.open("ab") as output:
        done = subprocess.run(
            [*analytics, command, *arguments],
            cwd=settings.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise StackError(f"`analytics {command} {' '.join(arguments)}` failed.\n{last_lines(log)}")


def _show_tests(settings: Settings) -> None:
    with connect(settings, "owner") as warehouse:
        results = dbt_results(warehouse, newest_run(warehouse))
    built = results.get("model", {}).get("success", 0)
    tests = results.get("test", {})
    warned = f" ({tests['warn']} with warnings)" if tests.get("warn") else ""
    passed = f"{tests.get('pass', 0)} of {sum(tests.values())} tests of the data passed{warned}"
    console.print(f"\n[bold]Tested[/bold]: {built} models built, {passed}.")


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _spans(days: Sequence[date]) -> list[list[date]]:
    """The days in spans without a gap, none longer than DAYS_AT_ONCE."""
    spans: list[list[date]] = []
    for day in days:
        if spans and len(spans[-1]) < DAYS_AT_ONCE and spans[-1][-1] + timedelta(days=1) == day:
            spans[-1].append(day)
        else:
            spans.append([day])
    return spans
