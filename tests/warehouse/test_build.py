"""The project builds, with every test of its own: on nothing, and on two weeks of the synthetic company."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from data_gen import generate
from data_gen.landing.command import prepare
from infrastructure.settings import Settings
from tests.warehouse.conftest import Build, land

DAYS = 14


def test_an_empty_warehouse_builds(warehouse: Settings, build: Build) -> None:
    prepare(warehouse)
    build(warehouse, "build", "--exclude-resource-type", "unit_test")
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        assert connection.execute("select count(*) from marts.active_users").fetchone() == (0,)


def test_two_weeks_of_the_company_build_and_pass_all_tests(warehouse: Settings, build: Build) -> None:
    founded = warehouse.company_founded
    assert founded is not None
    land_company(warehouse, DAYS)
    build(warehouse, "build")
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        days = connection.execute(
            "select min(date_day), max(date_day), min(dau) > 0 from marts.active_users"
        ).fetchone()
        orders = connection.execute("select sum(orders) from marts.sales_summary where grain = 'day'").fetchone()
    assert days is not None
    assert days[:2] == (founded, founded + timedelta(days=DAYS - 1))
    assert days[2] > 0
    assert orders is not None and orders[0] > 100


def land_company(settings: Settings, days: int) -> None:
    """Generates and lands the company's first days."""
    span = ["--day", str(settings.company_founded), "--days", str(days)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANY_FOUNDED", str(settings.company_founded))
        assert generate.main([*span, "--out", str(settings.landing_zone), "--scale", "1", "--seed", "42"]) == 0
    land(settings, *span, "--from", str(settings.landing_zone))
