"""Growth accounting, retention and funnels have the semantics of PostHog's own tests.

Their fixtures land as external files. Periods that cannot have been observed yet are 0 in PostHog,
and have no row here.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, copy_of, differences, keep_copies, land

DATA = PROJECT_ROOT / "tests" / "data" / "posthog_semantics"
MAPPINGS = PROJECT_ROOT / "saas_analytics/landing/mappings"
ORDERED_REPEAT = ("user signed up", "$pageview", "$pageview", "$pageview", "$pageview")
STRICT = ("user signed up", "$pageview", "insight viewed")


def test_lifecycle_is_growth_accounting(warehouse: Settings, build: Build) -> None:
    land_events(warehouse, "lifecycle", "product_events_activity", date(2020, 1, 19))
    build(warehouse, "run", "--select", "+growth_accounting")
    found = query(
        warehouse,
        "select period_start, new_users, retained_users, resurrected_users, -churned_users"
        " from marts.growth_accounting where grain = 'day'",
    )
    statuses = ("new", "returning", "resurrecting", "dormant")
    assert {
        (str(day), status): count
        for day, *counts in found
        for status, count in zip(statuses, counts, strict=True)
    } == {
        (row["day"], row["status"]): int(row["count"]) for row in expected("lifecycle_expected_day")
    }


def test_first_time_retention(warehouse: Settings, build: Build) -> None:
    """Users join a cohort by signing up, and return by viewing a page."""
    today = date(2020, 6, 15)
    land_events(warehouse, "retention_first_time", "product_events", date(2020, 6, 16))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_AS_OF", today.isoformat())
        build_with(build, warehouse, "+retention_cohorts", returning_event_types=["$pageview"])
    assert_retained(warehouse, "first_time", expected("retention_first_time_expected"), today)


def test_recurring_retention(warehouse: Settings, build: Build) -> None:
    # The last cells of a cohort are after today: they have no row.
    today = date(2020, 6, 17)
    land_events(warehouse, "retention_recurring", "product_events", today)
    build(warehouse, "run", "--select", "+retention_cohorts")
    assert_retained(warehouse, "recurring", expected("retention_recurring_expected"), today)


def test_retention_in_another_time_zone(warehouse: Settings, build: Build) -> None:
    """The zone is part of the definitions: a build in another zone equals a full refresh there."""
    today = date(2020, 6, 20)
    land_events(warehouse, "retention_timezone", "product_events_utc", today)
    rows = expected("retention_timezone_expected")
    zones = sorted({row["tz"] for row in rows})
    assert len(zones) == 2
    back = zones[:1] if "LONG" in os.environ else []
    for zone in (*zones, *back):
        build_with(build, warehouse, "+retention_cohorts", reporting_timezone=zone)
        assert_retained(warehouse, "recurring", [row for row in rows if row["tz"] == zone], today)
    tables = keep_copies(warehouse)
    build_with(build, warehouse, "+retention_cohorts", "--full-refresh", reporting_timezone=zone)
    assert not differences(warehouse, tables)


def test_rejects_do_not_depend_on_the_time_zone(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    """A clock may be a day ahead of the landed day, which is a day in UTC."""
    file = tmp_path / "events.csv"
    file.write_text(
        "person,timestamp\n"
        "p1,2020-01-02T23:30:00Z\np2,2020-01-03T00:30:00Z\np3,2020-01-01T00:30:00Z\n"
    )
    mapping = str(MAPPINGS / "product_events_activity.yaml")
    land(warehouse, "--mapping", mapping, "--keep", "--day", "2020-01-01", str(file))
    days = {"Pacific/Honolulu": "2019-12-31", "Pacific/Kiritimati": "2020-01-01"}
    for zone, first_day in list(days.items())[: None if "LONG" in os.environ else 1]:
        build_with(build, warehouse, "+active_users", reporting_timezone=zone)
        assert query(warehouse, "select user_id from staging.stg_events order by 1") == [
            ("p1",),
            ("p3",),
        ]
        assert (
            str(query(warehouse, "select min(date_day) from marts.active_users")[0][0]) == first_day
        )


@pytest.mark.parametrize(
    ("fixture", "steps", "mode"),
    [("funnel_ordered_repeat", ORDERED_REPEAT, "ordered"), ("funnel_strict", STRICT, "strict")],
)
def test_funnel(
    warehouse: Settings, build: Build, tmp_path: Path, fixture: str, steps: Sequence[str], mode: str
) -> None:
    """Each person does everything on one day, so the funnel of that day is that of the fixture."""
    project = copy_of(PROJECT_ROOT / "dbt", tmp_path / "dbt")
    land_events(warehouse, fixture, "product_events_sequence", date(2020, 1, 1))
    # Rows of an earlier seed are replaced: a changed seed rebuilds the models downstream.
    for rows in (funnel(steps, "any"), funnel(steps, mode)):
        (project / "seeds" / "funnels.csv").write_text(rows)
        build(warehouse, "run", "--select", "+funnel_conversion", project=project)
    found = query(
        warehouse,
        "select step_number, step_name, users from marts.funnel_conversion"
        " where dimension = 'total' and mode = %s order by 1",
        mode,
    )
    rows_expected = expected(f"{fixture}_expected")
    assert found == [
        (int(row["step"]), row["event"].lower(), int(row["count"])) for row in rows_expected
    ]
    persons = query(
        warehouse,
        "select step_number, string_agg(user_id, ' ' order by user_id) from core.int_funnel_entries"
        " group by 1 order by 1",
    )
    if mode == "strict":
        assert persons == [(int(row["step"]), row["persons"]) for row in rows_expected]


def land_events(settings: Settings, fixture: str, mapping: str, day: date) -> None:
    file = DATA / f"{fixture}_events.csv"
    land(
        settings,
        "--mapping",
        str(MAPPINGS / f"{mapping}.yaml"),
        "--keep",
        "--day",
        day.isoformat(),
        str(file),
    )


def build_with(
    build: Build, settings: Settings, select: str, *options: str, **variables: Any
) -> None:
    build(settings, "run", "--select", select, "--vars", json.dumps(variables), *options)


def expected(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def query(settings: Settings, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.dsn("owner")) as connection:
        return connection.execute(statement, values).fetchall()


def funnel(steps: Iterable[str], mode: str) -> str:
    """A seed with one funnel."""
    lines = [f"fixture,{number},{event},14,{mode}" for number, event in enumerate(steps, 1)]
    return "\n".join(["funnel_id,step_number,event_type,window_days,mode", *lines, ""])


def assert_retained(settings: Settings, kind: str, rows: list[dict[str, str]], today: date) -> None:
    """The cohorts equal those of the file up to today, without rows for its zeros after today."""
    wanted = {
        (date.fromisoformat(row["cohort_day"]), int(row["day_index"])): int(row["count"])
        for row in rows
    }
    assert wanted
    observed = {
        cell: count for cell, count in wanted.items() if cell[0] + timedelta(days=cell[1]) <= today
    }
    assert not any(count for cell, count in wanted.items() if cell not in observed)
    found = query(
        settings,
        "select cohort_start, period_index, retained_users from marts.retention_cohorts"
        " where retention_type = %s and grain = 'day' and cohort_start >= %s",
        kind,
        min(cohort for cohort, _ in wanted),
    )
    assert {(cohort, index): count for cohort, index, count in found} == observed
