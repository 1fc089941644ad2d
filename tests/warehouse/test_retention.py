"""RAW_RETENTION_DAYS: rows leave raw when the models have them, and the models keep what they built."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from saas_analytics.pipeline.maintenance import expire_raw
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import (
    Build,
    differences,
    keep_copies,
    land_days,
    last_rebuilt,
    mutant,
)
from tests.warehouse.random_company import FIRST_DAY, delivery, write_delivery
from tests.warehouse.test_versions import order

PROJECT = PROJECT_ROOT / "dbt"
# Every source is taken in; of what follows, some. LONG=1: everything.
SOME = (
    ()
    if "LONG" in os.environ
    else ("--select", "path:models/staging", "+fact_events", "+fact_orders")
)


def test_days_that_are_built_leave_raw_and_the_models_keep_them(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    dice = random.Random(1)
    days = [FIRST_DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        rows = delivery(dice, day)
        rows.setdefault("orders", []).append(order(f"of {day}", "", "completed"))
        write_delivery(warehouse.landing_zone, day, rows)
    # What is kept: the last two days, counted from today.
    settings = replace(warehouse, raw_retention_days=(datetime.now(UTC).date() - days[2]).days)
    with psycopg.connect(warehouse.dsn("owner"), autocommit=True) as server:
        land_days(warehouse, *days[:3])
        assert expire_raw(settings) == []  # nothing is built
        build(warehouse, "run", *SOME)
        assert expire_raw(warehouse) == []  # 0 days: for ever
        tables = keep_copies(warehouse)
        touched = server.execute("select count(*) from raw.touched_days").fetchone()

        dropped = expire_raw(settings)
        assert dropped and all(f"_d{day:%Y%m%d}_" in "".join(dropped) for day in days[:2])
        assert not any(f"_d{days[2]:%Y%m%d}_" in name for name in dropped)
        retired = "select distinct landed_on from raw.loads where retired_at is not null order by 1"
        assert server.execute(retired).fetchall() == [(day,) for day in days[:2]]
        assert server.execute("select count(*) from raw.touched_days").fetchone() == touched
        assert expire_raw(settings) == []

        build(warehouse, "run", *SOME)
        build(warehouse, "test", "--select", "landed_rows_have_one_verdict")
        assert differences(warehouse, tables) == {}
        # Another definition reads again what raw still has, and keeps the rest.
        file, status = "models/staging/base/base_orders.sql", "{{ tidy('raw_status') }}"
        written_otherwise = mutant(PROJECT, tmp_path / "same", file, status, f"{status} || ''")
        rebuilt = last_rebuilt(settings)
        build(warehouse, "run", *SOME, project=written_otherwise)
        assert differences(warehouse, tables) == {}
        renamed = mutant(PROJECT, tmp_path / "other", file, status, f"'new ' || {status}")
        build(warehouse, "run", *SOME, project=renamed)
        count = (
            "select count(*), count(*) filter (where status like 'new %') from staging.base_orders"
        )
        of_expired = f"{count} where status is not null and _landed_on < '{days[2]}'"
        of_others = f"{count} where status is not null and _landed_on >= '{days[2]}'"
        ((kept, changed),) = server.execute(of_expired.encode()).fetchall()
        ((read, changed_too),) = server.execute(of_others.encode()).fetchall()
        assert (kept > 0, changed, read > 0, changed_too) == (True, 0, True, read)
        build(warehouse, "run", *SOME)
        assert differences(warehouse, tables) == {}
        assert last_rebuilt(settings) == rebuilt
        # A day that is landed again comes back, and so does a corrected one; then raw has all that the models have.
        write_delivery(warehouse.landing_zone, days[1], delivery(dice, days[1]))
        land_days(warehouse, *days[:2])
        live = (
            "select count(*) from raw.loads where retired_at is not null and superseded_by is null"
        )
        assert server.execute(live).fetchone() == (0,)
        land_days(warehouse, days[3])
        build(warehouse, "run", *SOME)
        tables = keep_copies(warehouse)
        build(warehouse, "run", "--full-refresh", *SOME)
        assert differences(warehouse, tables) == {}
