"""The value of every metric of every data set, computed from the columns of the marts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import httpx
import psycopg
import pytest

from tests.superset.assets import ASSETS, Document
from tests.superset.conftest import Numbers, ask

NEWEST = "(select max(date_day) from marts.active_users)"
# For each data set, queries whose columns are some of its columns and then every metric: at the
# grain of the mart, which has the figure itself, and above it, where rows are aggregated.
EXPECTED: dict[str, list[str]] = {
    "active_users": [
        "select date_day, dau, wau, mau, stickiness from marts.active_users",
        """
        select sum(dau)::numeric / count(*) as dau, sum(wau)::numeric / count(*) as wau,
            sum(mau)::numeric / count(*) as mau, sum(stickiness * mau) / sum(mau) as stickiness
        from marts.active_users
        """,
    ],
    "channel_performance": [
        """
        select month_start, channel, model, conversions, revenue, spend, cpa, roas
        from marts.channel_performance
        """,
        """
        select model, sum(conversions) as conversions, sum(revenue) as revenue, sum(spend) as spend,
            sum(spend) / sum(conversions) as cpa, sum(revenue) / sum(spend) as roas
        from marts.channel_performance group by 1
        """,
    ],
    "customer_summary": [
        """
        select plan, count(customer_id) as customers, sum(net_sales - refunds) as net_revenue,
            sum(health_score) / count(*) as average_health,
            avg((health_band = 'healthy')::int) as healthy_share,
            sum(recency_days)::numeric / count(recency_days) as average_recency,
            avg(orders) as orders_per_customer
        from marts.customer_summary group by 1
        """
    ],
    "feature_engagement": [
        """
        select week_start, feature, adoption_rate, adopters, new_users, events_per_user
        from marts.feature_engagement
        """,
        """
        select feature, sum(users)::numeric / sum(active_users) as adoption_rate,
            sum(new_users) as adopters,
            sum(new_users) as new_users, sum(events)::numeric / sum(users) as events_per_user
        from marts.feature_engagement group by 1
        """,
    ],
    "funnel_by_segment": [
        """
        with last as (
            select funnel_id, max(step_number) as step_number
            from marts.funnel_conversion group by 1
        )
        select steps.funnel_id, dimension, sum(users) as users,
            sum(users) filter (where steps.step_number = 1) as entries,
            sum(users) filter (where steps.step_number = last.step_number)::numeric
            / sum(users) filter (where steps.step_number = 1) as conversion
        from marts.funnel_conversion as steps join last using (funnel_id) group by 1, 2
        """
    ],
    "geography_sales": [
        """
        select month_start, country, net_revenue, orders,
            (net_revenue + refunds) / nullif(valued_orders, 0) as average_order_value
        from marts.geography_sales
        """,
        """
        select country, sum(net_revenue) as net_revenue, sum(orders) as orders,
            sum(net_revenue + refunds) / nullif(sum(valued_orders), 0) as average_order_value
        from marts.geography_sales group by 1
        """,
    ],
    "growth_accounting": [
        f"""
        select grain, period_start, active_users, new_users, retained_users, resurrected_users,
            churned_users,
            -churned_users as lost_users, quick_ratio
        from marts.growth_accounting
        where period_start + cast('1 ' || grain as interval) <= {NEWEST} + 1
        """,
        f"""
        select grain, sum(active_users) as active_users, sum(new_users) as new_users,
            sum(retained_users) as retained_users, sum(resurrected_users) as resurrected_users,
            sum(churned_users) as churned_users, -sum(churned_users) as lost_users,
            sum(active_users - retained_users)::numeric / sum(churned_users) as quick_ratio
        from marts.growth_accounting
        where period_start + cast('1 ' || grain as interval) <= {NEWEST} + 1 group by 1
        """,
    ],
    "landed_rows": [
        """
        select source, sum(rows_read) as rows_read, sum(rows_landed) as rows_landed
        from raw.loads where superseded_by is null group by 1
        """
    ],
    "mrr_by_customer": [
        """
        select month_start, sum(mrr) as mrr,
            count(distinct customer_id) filter (where mrr > 0) as paying_customers,
            avg(mrr) filter (where mrr > 0) as mrr_per_customer
        from marts.mrr group by 1
        """
    ],
    "mrr_movements": [
        """
        select month_start, movement, amount, customers, fx_change, closing_mrr
        from marts.mrr_movements
        """,
        """
        select month_start, sum(closing_mrr - opening_mrr - fx_change) as amount,
            sum(customers) as customers,
            sum(fx_change) as fx_change,
            (select sum(mrr) from marts.mrr where mrr.month_start = movements.month_start)
                as closing_mrr
        from marts.mrr_movements as movements group by 1
        """,
    ],
    "mrr_steps": [
        """
        select month_start, sum(closing_mrr - opening_mrr) as amount
        from marts.mrr_movements group by 1
        """
    ],
    "order_fulfilment": [
        """
        select grain, period_start, carrier, orders, delivered, in_transit, not_shipped, lost, late,
            on_time_rate
        from marts.order_fulfilment
        """,
        """
        select grain, carrier, sum(orders) as orders, sum(delivered) as delivered,
            sum(in_transit) as in_transit,
            sum(orders - in_transit - delivered - lost) as not_shipped, sum(lost) as lost,
            sum(late) as late,
            sum(on_time_rate * decided) / nullif(sum(decided), 0) as on_time_rate
        from marts.order_fulfilment group by 1, 2
        """,
    ],
    "payment_methods": [
        """
        select month_start, method, payments, failed, failure_rate, retry_success_rate, charged,
            net_revenue
        from marts.payment_methods
        """,
        """
        select method, sum(succeeded + failed) as payments, sum(failed) as failed,
            sum(failure_rate * payments) / nullif(sum(payments), 0) as failure_rate,
            sum(retry_success_rate * failed_orders) / nullif(sum(failed_orders), 0)
                as retry_success_rate,
            sum(charged) as charged, sum(net_sales - refunds) as net_revenue
        from marts.payment_methods group by 1
        """,
    ],
    "payment_reconciliation": [
        """
        select currency, count(order_id) as orders, sum(order_total) as order_total,
            sum(charged) as charged,
            sum(refunded) as refunded, sum(difference) as difference,
            1 - avg((status like 'un%' or status like 'over%')::int) as settled_share
        from marts.payment_reconciliation group by 1
        """
    ],
    "product_affinity": ["select count(*) as pairs from marts.product_affinity"],
    "product_performance": [
        """
        select month_start, product_id, net_sales, units, margin, return_rate, turnover,
            1 as products
        from marts.product_performance
        """,
        """
        select category, sum(net_sales) as net_sales, sum(units) as units,
            sum(gross_profit) / nullif(sum(net_sales), 0) as margin,
            sum(units_returned)::numeric / nullif(sum(units), 0) as return_rate,
            sum(turnover * (opening_value + closing_value))
                / nullif(sum(opening_value + closing_value), 0) as turnover,
            count(distinct product_id) as products
        from marts.product_performance group by 1
        """,
    ],
    "product_returns": [
        """
        select reason, sum(units_returned) as units_returned, sum(refund_amount) as refund_amount
        from marts.product_returns group by 1
        """
    ],
    "rejected_rows": [
        "select source, rule, count(*) as rejected_rows from staging.stg_rejects group by 1, 2"
    ],
    "rejects_by_day": [
        """
        select landed_on, source, count(rejects.landed_on) as rejected_rows
        from (select distinct landed_on, source from raw.loads where superseded_by is null) as loads
        left join staging.stg_rejects as rejects using (landed_on, source) group by 1, 2
        """
    ],
    "retention_cohorts": [
        f"""
        select retention_type, grain, cohort_start, period_index, retention_rate, cohort_users
        from marts.retention_cohorts
        where cohort_start + (period_index + 1) * cast('1 ' || grain as interval) <= {NEWEST} + 1
        """,
        f"""
        select retention_type, grain, period_index, sum(cohort_users) as cohort_users,
            sum(retention_rate * cohort_users) / nullif(sum(cohort_users), 0) as retention_rate
        from marts.retention_cohorts
        where cohort_start + (period_index + 1) * cast('1 ' || grain as interval) <= {NEWEST} + 1
        group by 1, 2, 3
        """,
    ],
    "sales_summary": [
        """
        select grain, period_start, orders, gross_revenue, -discounts as discounts,
            -refunds as refunds, net_revenue,
            gross_profit, average_order_value
        from marts.sales_summary
        """,
        """
        select grain, sum(orders) as orders, sum(gross_revenue) as gross_revenue,
            -sum(discounts) as discounts,
            -sum(refunds) as refunds, sum(gross_revenue - discounts - refunds) as net_revenue,
            sum(net_revenue - cost) as gross_profit,
            sum(net_revenue + refunds) / sum(valued_orders) as average_order_value
        from marts.sales_summary group by 1
        """,
    ],
    "source_freshness": [
        """
        select source, extract(epoch from now() - max(ended_at)) / 3600 as age
        from raw.loads where superseded_by is null group by 1
        """
    ],
    "test_runs": [
        """
        select run_id, count(*) as tests, 1 as runs,
            count(*) - count(*) filter (where status in ('pass', 'skipped')) as not_passed,
            avg((status = 'pass')::int) filter (where status <> 'skipped') as pass_rate,
            avg(seconds) as seconds
        from quality.dbt_results where split_part(node_id, '.', 1) in ('test', 'unit_test')
        group by 1
        """
    ],
    "usage_by_segment": [
        f"""
        select country, plan, sum(active_users) as active_user_days,
            sum(active_users)::numeric
                / ({NEWEST} - (select min(date_day) from marts.active_users) + 1)
            as daily_average,
            sum(events) as events, sum(events)::numeric / sum(active_users) as events_per_user_day,
            sum(sessions)::numeric / sum(active_users) as sessions_per_user_day
        from marts.usage_by_segment group by 1, 2
        """
    ],
}
ROUNDED = 6e-5  # marts round ratios to four digits
JUST_NOW = 0.2  # hours between the two queries, and the rounding of the view
CASES = [(name, number) for name, queries in EXPECTED.items() for number in range(len(queries))]


def test_every_data_set_has_an_expectation() -> None:
    assert set(EXPECTED) == set(ASSETS.datasets)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_every_metric_agrees_with_the_columns_of_its_mart(
    admin: httpx.Client, numbers: Numbers, owner: psycopg.Connection, name: str, number: int
) -> None:
    dataset = ASSETS.datasets[name]
    metrics = [metric["metric_name"] for metric in dataset["metrics"]]
    cursor = owner.execute(EXPECTED[name][number])
    names = [column.name for column in cursor.description or []]
    expected = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    columns = [column for column in names if column not in metrics]
    assert set(metrics) <= set(names), "a metric without an expectation"
    query: Document = {"columns": columns, "metrics": metrics, "row_limit": 50_000}
    shown = by_key(ask(admin, numbers.datasets[dataset["uuid"]], query, {}), columns)
    wanted = by_key(expected, columns)
    assert expected
    assert set(shown) == set(wanted)
    tolerance = JUST_NOW if name == "source_freshness" else ROUNDED
    for key, row in wanted.items():
        for metric in metrics:
            assert number_of(shown[key][metric]) == pytest.approx(
                number_of(row[metric]), abs=tolerance
            ), (key, metric)


def by_key(rows: list[Document], columns: list[str]) -> dict[tuple[Any, ...], Document]:
    return {tuple(as_in_json(row[column]) for column in columns): row for row in rows}


def as_in_json(value: Any) -> Any:
    """Superset gives days as milliseconds."""
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000)
    return value


def number_of(value: Any) -> float | None:
    return None if value is None else float(value)


# Cases that a small company's data may lack: rows, and the value of a metric over them.
EXAMPLES: dict[tuple[str, str], tuple[str, float]] = {
    # Two of three orders in transit are late already, so 3 of 7 are on time, not 3 of 5 or 3 of 6.
    ("order_fulfilment", "on_time_rate"): (
        "select 4 as delivered, 1 as lost, 3 as in_transit, 3 as on_time, 3 as late, 7 as decided",
        3 / 7,
    ),
    # The stock of the second product was not counted, so its turnover is unknown.
    ("product_performance", "turnover"): (
        """
        select 60 as cost, 20 as opening_value, 40 as closing_value union all select 100, null, null
        """,
        2,
    ),
    ("test_runs", "not_passed"): (
        "select unnest(array['pass', 'fail', 'error', 'warn', 'skipped']) as status",
        3,
    ),
    ("test_runs", "pass_rate"): (
        "select unnest(array['pass', 'fail', 'error', 'warn', 'skipped']) as status",
        0.25,
    ),
    ("payment_reconciliation", "settled_share"): (
        "select unnest(array['paid', 'refunded', 'unpaid', 'overrefunded']) as status",
        0.5,
    ),
}


@pytest.mark.parametrize(("name", "metric"), EXAMPLES)
def test_a_metric_of_an_example(owner: psycopg.Connection, name: str, metric: str) -> None:
    (expression,) = (
        one["expression"]
        for one in ASSETS.datasets[name]["metrics"]
        if one["metric_name"] == metric
    )
    rows, expected = EXAMPLES[name, metric]
    ((value,),) = owner.execute(f"select {expression} from ({rows}) as example").fetchall()
    assert float(value) == pytest.approx(expected)
