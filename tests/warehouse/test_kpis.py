"""The marts have exactly the key figures that are recoverable from the landed data, on every day.

After weeks of corrupted files, all models still equal a full refresh. The ground truth comes from
the generator's plan of a day, not from the files; see docs/reference/synthetic-company.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow.parquet as pq

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, differences, keep_copies, land_days

# How many days land, and after how many of them the models are built and compared with the ground
# truth. LONG=1: after every day.
FIRST = date(2026, 1, 1)
DAYS, EVERY = (60, 1) if "LONG" in os.environ else (24, 12)
Figures = dict[tuple[date, str], Decimal]

DAILY = """
    select event_date, 'total_events', total_events from core.fact_daily_events
    union all select event_date, 'dau', daily_active_users from core.fact_daily_events
    union all select event_date, 'signups', signup_events from core.fact_daily_events
    union all select date_day, 'active_users_7', wau from marts.active_users
    union all select date_day, 'active_users_30', mau from marts.active_users
    union all select period_start, 'orders', orders from marts.sales_summary where grain = 'day'
    union all select period_start, 'gross_revenue', gross_revenue
    from marts.sales_summary where grain = 'day'
    union all select period_start, 'net_revenue', net_revenue
    from marts.sales_summary where grain = 'day'
"""
# The changes in the monthly amounts of subscriptions from one day to the next, by currency.
MRR = """
    select movement_date, 'mrr_' || movement || '.' || currency, sum(amount_change)
    from core.int_subscription_movements
    where movement_date <= (select max(date_day) from core.dim_date)
    group by movement_date, movement, currency
"""


def test_the_marts_have_the_recoverable_figures(warehouse: Settings, build: Build) -> None:
    zone = warehouse.landing_zone
    generate(zone)
    truth = {day: ground_truth(zone, day) for day in days()}
    wrong = []
    for number, day in enumerate(days(), start=1):
        land_days(warehouse, day)
        if number % EVERY and number != DAYS:
            continue
        build(warehouse, "run")
        figures = figures_of(warehouse)
        wrong += [
            f"{metric} of {of} as of {day}:"
            f" {expected} is recoverable, the models have {figures.get((of, metric), 0)}"
            for (of, metric), expected in recoverable(truth, day).items()
            if figures.get((of, metric), Decimal(0)) != expected
        ]
    assert not wrong, "\n".join(
        [f"{len(wrong)} figures differ from the recoverable ones:", *wrong[:40]]
    )
    tables = keep_copies(warehouse)
    build(warehouse, "run", "--full-refresh")
    assert not differences(warehouse, tables)


def days() -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(DAYS)]


def generate(zone: Path) -> None:
    command = (
        f"data_gen/generate.py --day {FIRST} --days {DAYS} --scale 0.1 --seed 2026 --out {zone}"
    )
    subprocess.run(
        [sys.executable, *command.split()],
        cwd=PROJECT_ROOT,
        env={**os.environ, "COMPANY_FOUNDED": str(FIRST)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def ground_truth(zone: Path, day: date) -> list[tuple[str, date, Decimal]]:
    """The recoverable figures of a day: metric, the first landed day for which it holds, value."""
    rows = pq.read_table(zone / "_truth" / f"dt={day}" / "kpis.parquet").to_pylist()
    return [
        (row["metric"], row["as_of_landing_day"], Decimal(str(row["value"])))
        for row in rows
        if row["kind"] == "recoverable"
    ]


def recoverable(truth: dict[date, list[tuple[str, date, Decimal]]], landed_until: date) -> Figures:
    """The recoverable figures of every day up to `landed_until`, once that day has landed."""
    figures: Figures = {}
    for day, entries in truth.items():
        for metric, holds_from, value in sorted(entries, key=lambda entry: entry[1]):
            if day <= landed_until and holds_from <= landed_until:
                figures[day, metric] = value
    return figures


def figures_of(settings: Settings) -> Figures:
    with psycopg.connect(settings.dsn("owner")) as connection:
        rows = connection.execute(DAILY).fetchall() + connection.execute(MRR).fetchall()
    return {(day, metric): Decimal(value) for day, metric, value in rows}
