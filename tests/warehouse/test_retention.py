"""RAW_RETENTION_DAYS: rows that are built expire from raw, and the models keep their own rows."""

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
# All of staging, and some models downstream. LONG=1: all models.
SOME = (
    ()
    if "LONG" in os.environ
    else ("--select", "path:models/staging", "+fact_events", "+fact_orders")
)


def test_built_days_expire_from_raw_and_the_models_keep_them(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    dice = random.Random(1)
    days = [FIRST_DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        rows = delivery(dice, day)
        rows.setdefault("orders", []).append(order(f"of {day}", "", "completed"))
        write_delivery(warehouse.landing_zone, day, rows)
    # Raw keeps the last two days, counted from today.
    settings = replace(warehouse, raw_retention_days=(datetime.now(UTC).date() - days[2]).days)
    with psycopg.connect(warehouse.dsn("owner"), autocommit=True) as server:
        land_days(warehouse, *days[:3])
        assert expire_raw(settings) == []  # nothing is built
        build(warehouse, "run", *SOME)
        assert expire_raw(warehouse) == []  # 0 days: nothing expires
        tables = keep_copies(warehouse)
        affected_days = server.execute("select count(*) from raw.touched_days").fetchone()

        dropped = expire_raw(settings)
        assert dropped and all(f"_d{day:%Y%m%d}_" in "".join(dropped) for day in days[:2])
        assert not any(f"_d{days[2]:%Y%m%d}_" in name for name in dropped)
        expired = "select distinct landed_on from raw.loads where retired_at is not null order by 1"
        assert server.execute(expired).fetchall() == [(day,) for day in days[:2]]
        assert server.execute("select count(*) from raw.touched_days").fetchone() == affected_days
        assert expire_raw(settings) == []

        build(warehouse, "run", *SOME)
        build(warehouse, "test", "--select", "landed_rows_have_one_verdict")
        assert differences(warehouse, tables) == {}
        # A changed definition reads again the rows that raw still has, and keeps the others.
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
        # Days land again, one of them corrected. Then raw has all rows of the models.
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
