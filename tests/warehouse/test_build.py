"""The project builds and passes its own tests: without data, and with two weeks of a company."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from data_gen import generate
from saas_analytics.landing.execution import prepare
from saas_analytics.metrics.kpi_table import print_kpis, sparkline
from saas_analytics.metrics.kpis import kpi_trends
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError
from tests.bench.building import QUERIES
from tests.warehouse.conftest import Build, BuildFailed, land, land_days
from tests.warehouse.random_company import FIRST_DAY, Row, delivery, too_long, write_delivery

DAYS = 14


def test_the_project_builds_and_passes_its_tests_without_and_with_data(
    warehouse: Settings, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything has landed, and two weeks later."""
    prepare(warehouse)
    with pytest.raises(WarehouseError, match="the models are not built"):
        print_kpis(warehouse)
    build(warehouse, "build", "--exclude-resource-type", "unit_test")
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        assert connection.execute("select count(*) from marts.active_users").fetchone() == (0,)
    capsys.readouterr()
    assert not print_kpis(warehouse)
    assert "built and empty: nothing has landed" in capsys.readouterr().out

    founded = warehouse.company_founded
    assert founded is not None
    land_company(warehouse, DAYS)
    build(warehouse, "build")
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        days = connection.execute(
            "select min(date_day), max(date_day), min(dau) > 0 from marts.active_users"
        ).fetchone()
        orders = connection.execute(
            "select sum(orders) from marts.sales_summary where grain = 'day'"
        ).fetchone()
    with psycopg.connect(warehouse.dsn("owner")) as connection:
        assert not [
            name for name, query in QUERIES.items() if not connection.execute(query).fetchall()
        ]
        check_indexes_of_unknown_members(connection)
    assert days is not None
    assert days[:2] == (founded, founded + timedelta(days=DAYS - 1))
    assert days[2] > 0
    assert orders is not None and orders[0] > 100
    check_kpi_table(warehouse, capsys)


def test_rows_that_land_during_a_run_are_left_to_the_next_run(
    warehouse: Settings, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = (
        "test",
        "--select",
        "landed_rows_have_one_verdict",
        "staging_rejects_and_duplicates_are_what_landed",
    )
    land_company(warehouse, 2)
    monkeypatch.setenv("PIPELINE_RUN_ID", "the run during which rows land")
    build(warehouse, "run", "--select", "+path:models/staging")
    land_company(warehouse, 3)
    build(warehouse, *tests)  # in the same run
    monkeypatch.setenv("PIPELINE_RUN_ID", "a run that starts after the landing")
    with pytest.raises(BuildFailed, match="landed_rows_have_one_verdict"):
        build(warehouse, *tests)
    build(warehouse, "run", "--select", "+path:models/staging")
    build(warehouse, *tests)


def test_a_text_as_long_as_a_page_fails_no_model(warehouse: Settings, build: Build) -> None:
    """In each text column of every source, in otherwise valid rows. Half of them are indexed."""
    dice, day, rows = random.Random(1), FIRST_DAY, dict[str, list[Row]]()
    for _ in range(12):
        for source, made in delivery(dice, day).items():
            key = next(iter(made[0])) if made else ""
            texts = [
                (row, name)
                for row in made[:1]
                for name, value in row.items()
                if isinstance(value, str)
            ]
            rows.setdefault(source, []).extend(
                {
                    **row,
                    **({key: f"{source}{dice.random()}"} if key.endswith("_id") else {}),
                    name: too_long(dice),
                }
                for row, name in texts
            )
    write_delivery(warehouse.landing_zone, day, rows)
    land_days(warehouse, day)
    build(warehouse, "run")
    with psycopg.connect(warehouse.dsn("owner")) as connection:
        # The other sources have only keys, numbers and times.
        for source in (
            "events",
            "sessions",
            "users",
            "customers",
            "products",
            "payments",
            "shipments",
            "returns",
        ):
            accepted = connection.execute(
                f"select count(*) > 0 from staging.stg_{source}"
            ).fetchone()
            assert accepted == (True,), source


def check_indexes_of_unknown_members(connection: psycopg.Connection) -> None:
    """Each column of a fact that may refer to the unknown member has an index of such rows."""
    members = (
        "select table_name || '_unknown_' || column_name from information_schema.columns"
        " where table_schema = 'core' and table_name ~ '^fact_[a-z_]+$'"
        " and column_name ~ '_sk$' order by 1"
    )
    indexes = (
        "select indexname from pg_indexes"
        " where schemaname = 'core' and tablename ~ '^fact_[a-z_]+$'"
        " and indexname ~ '_unknown_' and indexdef ~ '= ''unknown''' order by 1"
    )
    found = connection.execute(indexes).fetchall()
    assert found and found == connection.execute(members).fetchall()
    # The planner uses each of them: with another index it would read the other rows too.
    query = "select indexrelid::regclass::text from pg_index where indpred is not null"
    partial = {name for (name,) in connection.execute(query)}
    connection.execute("set enable_seqscan = off")
    (plan,) = connection.execute(
        "explain (format json) select * from marts.unknown_members"
    ).fetchone() or ([],)
    connection.execute("reset enable_seqscan")
    read = list(scans(plan[0]["Plan"]))
    assert len(read) >= len(found)
    assert not [scan for scan in read if f"core.{scan.get('Index Name')}" not in partial]


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read a table or an index."""
    if "Index Name" in node or node["Node Type"] == "Seq Scan":
        yield node
    for child in node.get("Plans", ()):
        yield from scans(child)


# The newest value of each figure of `make kpis`, in the order of its table.
NEWEST = (
    "select dau, wau, mau, stickiness from marts.active_users order by date_day desc limit 1",
    "select new_users, retained_users, resurrected_users, churned_users, quick_ratio"
    " from marts.growth_accounting"
    " where grain = 'week' and period_start + 6 <= %(last)s order by period_start desc limit 1",
    "select orders, gross_revenue, net_revenue, gross_profit"
    " from marts.sales_summary where grain = 'day' order by period_start desc limit 1",
    "select sum(mrr), sum(greatest(0, mrr_change - fx_change)),"
    " -sum(least(0, mrr_change - fx_change))"
    " from marts.mrr where month_start = (select max(month_start) from marts.mrr)",
)


def check_kpi_table(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """The table shows the newest figures of the marts, with correct changes and sparklines."""
    capsys.readouterr()
    assert print_kpis(settings)
    shown = {line[:22].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert settings.company_founded is not None
    last = settings.company_founded + timedelta(days=DAYS - 1)
    with psycopg.connect(settings.dsn("reporter")) as connection:
        counts = [
            dau
            for (dau,) in connection.execute("select dau from marts.active_users order by date_day")
        ]
        [(day,)] = connection.execute(
            "select max(period_start) from marts.sales_summary where grain = 'day'"
        ).fetchall()
        rows = [connection.execute(query, {"last": last}).fetchall() for query in NEWEST]
    trends = {trend.name: trend.points[-1][1] for trend in kpi_trends(settings)}
    assert list(trends.values()) == [value for (row,) in rows for value in row]
    before, newest = counts[-2:]
    *_, shown_day, shown_newest, shown_before, change, trend = shown["Daily active users"].split()
    assert (shown_day, shown_newest, shown_before) == (str(last), f"{newest:,}", f"{before:,}")
    assert change == f"{(newest - before) / before:+.1%}"
    assert len(trend) == len(counts) == DAYS
    assert trend[counts.index(max(counts))] == "█" and trend[counts.index(min(counts))] == "▁"
    assert shown["Net revenue"].split()[2:4] == [str(day), f"{trends['Net revenue']:,.2f}"]
    assert shown["MRR"].split()[2] == f"{trends['MRR']:,.2f}"
    assert shown["Churned users"].split()[5] == str(trends["Churned users"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1, 8], "▁█", id="from the lowest to the highest"),
        pytest.param([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█", id="eight steps"),
        pytest.param(
            [5, None, 5], "▄ ▄", id="a space for a missing value, the middle for a constant"
        ),
        pytest.param([None, None], "  ", id="no values"),
        pytest.param([-10, 0, -5], "▁█▅", id="below zero"),
    ],
)
def test_sparklines(values: list[int | None], expected: str) -> None:
    numbers = [None if value is None else Decimal(value) for value in values]
    assert sparkline(numbers, bars="▁▂▃▄▅▆▇█") == expected


def land_company(settings: Settings, days: int) -> None:
    """Generate and land the first days of the company."""
    span = ["--day", str(settings.company_founded), "--days", str(days)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANY_FOUNDED", str(settings.company_founded))
        assert (
            generate.main(
                [*span, "--out", str(settings.landing_zone), "--scale", "1", "--seed", "42"]
            )
            == 0
        )
    land(settings, *span, "--from", str(settings.landing_zone))
