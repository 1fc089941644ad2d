"""A build after which nothing has changed: it asks the database little, and views stay."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, land_days, mutant
from tests.warehouse.random_company import FIRST_DAY, delivery, write_delivery

CHOSEN = ("--select", "+fact_orders")


def test_a_model_with_nothing_to_do_runs_one_query(warehouse: Settings, build: Build) -> None:
    from dbt.cli.main import dbtRunner

    write_delivery(warehouse.landing_zone, FIRST_DAY, delivery(random.Random(1), FIRST_DAY))
    land_days(warehouse, FIRST_DAY)
    build(warehouse, "run", *CHOSEN)
    asked: Counter[str] = Counter()

    def count(event: Any) -> None:
        if event.info.name == "SQLQuery" and not event.data.sql.strip().endswith(
            ("BEGIN", "COMMIT")
        ):
            asked[event.data.node_info.unique_id] += 1

    result = dbtRunner(callbacks=[count]).invoke(["--quiet", "run", *CHOSEN])
    assert result.success
    by_name = {
        key.rpartition(".")[2]: number for key, number in asked.items() if key.startswith("model.")
    }
    assert {by_name[name] for name in ("stg_orders", "dim_users", "int_exchange_rates")} == {1}
    # One query more for the calendar, because the load log has no change log, and for a fact, which
    # checks its indexes. Base models need both.
    assert max(number for name, number in by_name.items() if not name.startswith("base_")) == 2
    assert max(by_name.values()) == 3


def test_a_view_is_replaced_only_if_it_differs(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    view = ("--select", "+stg_orders")
    write_delivery(warehouse.landing_zone, FIRST_DAY, delivery(random.Random(1), FIRST_DAY))
    land_days(warehouse, FIRST_DAY)
    build(warehouse, "run", *view)
    state = """
        select
            'staging.stg_orders'::regclass::oid,
            obj_description('staging.stg_orders'::regclass),
            (
                select string_agg(attname, ' ' order by attnum)
                from pg_attribute where attrelid = 'staging.stg_orders'::regclass
            )
    """
    with psycopg.connect(warehouse.dsn("owner"), autocommit=True) as owner:
        (was,) = owner.execute(state).fetchall()
        owner.execute("create view public.of_a_reader as select order_id from staging.stg_orders")

        build(warehouse, "run", *view)
        assert owner.execute(state).fetchall() == [was]
        # A changed description is written, and the view stays.
        project = mutant(
            PROJECT_ROOT / "dbt",
            tmp_path / "described",
            "models/staging/stg_orders.yml",
            "one row for each",
            "a row for each",
        )
        build(warehouse, "run", *view, project=project)
        ((oid, description, columns),) = owner.execute(state).fetchall()
        assert (oid, columns) == (was[0], was[2]) and description != was[1]
        assert owner.execute("select to_regclass('public.of_a_reader') is not null").fetchone() == (
            True,
        )
        # A change by hand is undone, and a changed definition takes effect.
        owner.execute("alter view staging.stg_orders rename column status to state")
        build(warehouse, "run", *view)
        ((oid, _, columns),) = owner.execute(state).fetchall()
        assert oid != was[0] and columns == was[2]
        project = mutant(
            PROJECT_ROOT / "dbt",
            tmp_path / "made",
            "models/staging/stg_orders.sql",
            "    status,\n",
            "    status,\n    1 as one,\n",
        )
        build(warehouse, "run", *view, project=project)
        ((_, _, columns),) = owner.execute(state).fetchall()
        assert " one " in columns
