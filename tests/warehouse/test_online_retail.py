"""Real input: UCI's Online Retail file, landed by the project's mapping, gives the known totals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from statistics import quantiles

import psycopg

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, land

MAPPING = PROJECT_ROOT / "saas_analytics/landing/mappings" / "online_retail.yaml"
FILE = PROJECT_ROOT / "tests" / "data" / "online_retail.csv.gz"
# The marts that the test reads. LONG=1: all models.
CHOSEN = (
    ()
    if "LONG" in os.environ
    else ("--select", "+sales_summary", "+customer_summary", "+product_performance")
)


def cutoffs_below(values: Sequence[int | Decimal]) -> list[int]:
    """For each value, the number of the quantiles 0.2, 0.4, 0.6 and 0.8 that it exceeds.

    The method "inclusive" is type 7. With fractions, rounding cannot lift a value above a quantile
    that it equals.
    """
    cutoffs = quantiles(map(Fraction, values), n=5, method="inclusive")
    return [sum(value > cutoff for cutoff in cutoffs) for value in map(Fraction, values)]


def test_online_retail_gives_the_known_totals(warehouse: Settings, build: Build) -> None:
    land(warehouse, "--mapping", str(MAPPING), "--keep", str(FILE))
    build(warehouse, "run", *CHOSEN)
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        sales = connection.execute(
            "select sum(orders), sum(net_revenue) from marts.sales_summary where grain = 'month'"
        ).fetchone()
    with psycopg.connect(warehouse.dsn("transformer")) as connection:
        lines = connection.execute(
            "select count(*), count(distinct order_id), count(distinct customer_id),"
            " sum(net_amount) from core.fact_order_items where is_sale"
        ).fetchone()
        landed = connection.execute(
            "select rows_read, rows_landed + rows_left_out, rows_rejected"
            " from raw.loads where source = 'order_items'"
        ).fetchone()
        first_month = connection.execute(
            "select count(distinct customer_id)"
            " from core.fact_orders where is_sale and order_date < date '2011-01-01'"
        ).fetchone()
        cohort = connection.execute(
            "select count(distinct c.customer_id), count(distinct o.customer_id)"
            " from marts.customer_summary as c left join core.fact_orders as o"
            " on c.customer_id = o.customer_id and o.is_sale"
            " and o.order_date >= date '2011-01-01' and o.order_date < date '2011-02-01'"
            " where c.cohort_month = date '2010-12-01'"
        ).fetchone()
        customers = connection.execute(
            "select recency_days, frequency, monetary, r_score, f_score, m_score"
            " from marts.customer_summary where frequency is not null"
        ).fetchall()
        revenue = connection.execute(
            "select (select sum(net_revenue) from marts.customer_summary),"
            " (select sum(net_sales) from marts.product_performance)"
        ).fetchone()
    assert sales == (18_532, Decimal("8911407.904"))
    assert lines == (397_884, 18_532, 4_338, Decimal("8911407.904"))
    assert landed == (541_909, 541_909, 0)
    assert first_month == (885,)
    assert cohort == (885, 324)
    assert revenue == (Decimal("8911407.904"), Decimal("8911407.904"))
    recency, frequency, monetary, r_scores, f_scores, m_scores = zip(*customers, strict=True)
    assert [5 - score for score in r_scores] == cutoffs_below(recency)
    assert [score - 1 for score in f_scores] == cutoffs_below(frequency)
    assert [score - 1 for score in m_scores] == cutoffs_below(monetary)
