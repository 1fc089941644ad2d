"""Real input: the UCI Online Retail file, landed by the mapping that the project ships, gives the known totals."""

from __future__ import annotations

from decimal import Decimal

import psycopg

from infrastructure.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, land

MAPPING = PROJECT_ROOT / "data_gen" / "mappings" / "online_retail.yaml"
FILE = PROJECT_ROOT / "tests" / "data" / "online_retail.csv.gz"


def test_online_retail_gives_the_known_totals(warehouse: Settings, build: Build) -> None:
    land(warehouse, "--mapping", str(MAPPING), "--keep", str(FILE))
    build(warehouse, "run")
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        sales = connection.execute(
            "select sum(orders), sum(net_revenue) from marts.sales_summary where grain = 'month'"
        ).fetchone()
    with psycopg.connect(warehouse.dsn("transformer")) as connection:
        lines = connection.execute(
            "select count(*), count(distinct order_id), count(distinct customer_id), sum(net_amount)"
            " from core.fact_order_items where is_sale"
        ).fetchone()
        landed = connection.execute(
            "select rows_read, rows_landed + rows_left_out, rows_rejected from raw.loads where source = 'order_items'"
        ).fetchone()
        first_month = connection.execute(
            "select count(distinct customer_id) from core.fact_orders where is_sale and order_date < date '2011-01-01'"
        ).fetchone()
    assert sales == (18_532, Decimal("8911407.904"))
    assert lines == (397_884, 18_532, 4_338, Decimal("8911407.904"))
    assert landed == (541_909, 541_909, 0)
    assert first_month == (885,)
