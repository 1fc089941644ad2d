"""The six dashboards: charts have rows and the numbers of the marts; imports can be repeated."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from saas_analytics.stack.superset import DIRECTORY
from tests.superset.assets import ASSETS, Document, filters_of, metrics_of, part_is_chart, query_of
from tests.superset.conftest import Numbers, Superset, answer, ask
from tests.superset.test_metrics import JUST_NOW, as_in_json

# Charts without rows in a small company: every order may have been paid correctly.
MAY_BE_EMPTY = {"revenue/differences"}


def rows_of(
    client: httpx.Client, numbers: Numbers, chart: str, narrowed: Document | None = None
) -> list[dict[str, Any]]:
    """Superset's answer to a chart of a dashboard.

    `narrowed` are the filters of the dashboard (`filters`, `time_range`).
    """
    asset = ASSETS.charts[chart]
    source = numbers.datasets[asset["dataset_uuid"]]
    dashboard = numbers.dashboards[ASSETS.dashboard_of(chart)["slug"]]
    form = {**asset["params"], "dashboardId": dashboard, "slice_id": numbers.charts[asset["uuid"]]}
    if asset["viz_type"] == "world_map":  # a chart of the older API
        form |= {"datasource": f"{source}__table", "extra_form_data": narrowed or {}}
        data = {"form_data": json.dumps(form)}
        drawn = answer(client.post("/superset/explore_json/", data=data))["data"] or []
        return [
            {form["entity"]: row.get("code", "unknown"), form["metric"]: row["m1"]} for row in drawn
        ]
    query = query_of(asset["params"])
    if narrowed:
        query |= {**narrowed, "filters": query["filters"] + narrowed.get("filters", [])}
    return ask(client, source, query, form)


@pytest.mark.parametrize("chart", ASSETS.charts)
def test_a_chart_has_rows(viewer: httpx.Client, numbers: Numbers, chart: str) -> None:
    rows = rows_of(viewer, numbers, chart)
    assert rows or chart in MAY_BE_EMPTY
    for metric in metrics_of(ASSETS.charts[chart]["params"]) if rows else ():
        assert any(row[metric] is not None for row in rows), f"{metric} is empty in every row"


def nothing_fits(narrowed: Document) -> Document:
    """The part that a filter of a dashboard adds to queries if no row has its value."""
    if narrowed["filterType"] == "filter_time":
        return {"time_range": "1990-01-01 : 1990-02-01"}
    return {"filters": [{"col": column_of(narrowed), "op": "IN", "val": ["nothing of ours"]}]}


def column_of(select: Document) -> str:
    return str(select["targets"][0]["column"]["name"])


@pytest.mark.parametrize(
    ("chart", "number"),
    [(chart, number) for chart in ASSETS.charts for number in range(len(filters_of(chart)))],
)
def test_every_filter_of_a_chart_has_an_effect(
    viewer: httpx.Client, numbers: Numbers, chart: str, number: int
) -> None:
    rows = rows_of(viewer, numbers, chart, nothing_fits(filters_of(chart)[number]))
    assert not any(
        row.get(metric) for row in rows for metric in metrics_of(ASSETS.charts[chart]["params"])
    )
    assert len(rows) <= 1  # a total of no rows is still a row


SELECTS = [
    (slug, number)
    for slug, dashboard in ASSETS.dashboards.items()
    for number, one in enumerate(dashboard["metadata"]["native_filter_configuration"])
    if one["filterType"] == "filter_select"
]


@pytest.mark.parametrize(("slug", "number"), SELECTS)
def test_a_viewer_is_offered_the_values_of_a_filter(
    viewer: httpx.Client, numbers: Numbers, owner: psycopg.Connection, slug: str, number: int
) -> None:
    select = ASSETS.dashboards[slug]["metadata"]["native_filter_configuration"][number]
    (target,) = select["targets"]
    (dataset,) = (one for one in ASSETS.datasets.values() if one["uuid"] == target["datasetUuid"])
    form = {
        "type": "NATIVE_FILTER",
        "native_filter_id": select["id"],
        "dashboardId": numbers.dashboards[slug],
    }
    column = column_of(select)
    offered = ask(
        viewer,
        numbers.datasets[dataset["uuid"]],
        {"columns": [column], "orderby": [[column, True]]},
        form,
    )
    present = owner.execute(
        f"select distinct {column} from ({query_of_dataset(dataset)}) as everything"
    ).fetchall()
    assert {row[column] for row in offered} == {value for (value,) in present}
    assert len(present) > 1


def query_of_dataset(dataset: Document) -> str:
    return str(dataset.get("sql") or f"select * from {dataset['schema']}.{dataset['table_name']}")


# Charts, and queries on the marts with the same numbers: one row for each of a chart, in any order.
SAME_NUMBERS = {
    "product-usage/dau": "select date_day, dau from marts.active_users",
    "product-usage/stickiness": "select date_day, dau::numeric / mau from marts.active_users",
    "product-usage/users_by_country": """
        select country, sum(active_users)::numeric
            / (select max(date_day) - min(date_day) + 1 from marts.active_users)
        from marts.usage_by_segment group by 1
    """,
    "growth-and-retention/quick_ratio_now": """
        select period_start, (new_users + resurrected_users)::numeric / nullif(churned_users, 0)
        from marts.growth_accounting
        where grain = 'week'
            and period_start + 7 <= (select max(date_day) + 1 from marts.active_users)
    """,
    "growth-and-retention/retention_curve": """
        select period_index, sum(retained_users)::numeric / sum(cohort_users)
        from marts.retention_cohorts
        where grain = 'week' and retention_type = 'first_time' and period_index > 0
            and cohort_start + 7 * (period_index + 1)
                <= (select max(date_day) + 1 from marts.active_users)
        group by 1
    """,
    "revenue/mrr_now": "select month_start, sum(mrr) from marts.mrr group by 1",
    "revenue/mrr_waterfall": """
        select step, sum(amount) from (
            select
                array_position(
                    array['new', 'reactivation', 'expansion', 'contraction', 'churn'], movement
                ) as step,
                amount
            from marts.mrr_movements where movement <> 'none'
            union all
            select 6, fx_change from marts.mrr_movements
        ) as parts group by 1
    """,
    "revenue/by_currency": """
        select currency, count(*), sum(order_total), sum(charged), sum(refunded), sum(difference)
        from marts.payment_reconciliation group by 1
    """,
    "revenue/differences": """
        select status, currency, count(*), sum(difference)
        from marts.payment_reconciliation
        where status in ('underpaid', 'overpaid', 'unpaid', 'overrefunded')
        group by 1, 2
    """,
    "funnel-and-attribution/funnel_purchase": """
        select step_number, sum(users) from marts.funnel_conversion
        where funnel_id = 'view_to_purchase' and dimension = 'total' group by 1
    """,
    "funnel-and-attribution/channels": """
        select channel, sum(conversions), sum(revenue), sum(spend),
            sum(spend) / nullif(sum(conversions), 0), sum(revenue) / nullif(sum(spend), 0)
        from marts.channel_performance where model = 'linear' group by 1
    """,
    "customers-and-products/rfm_treemap": """
        select rfm_segment, count(*) from marts.customer_summary
        where rfm_segment is not null group by 1
    """,
    "customers-and-products/customer_revenue": """
        select sum(net_revenue) from marts.sales_summary where grain = 'month'
    """,
    "operations-and-data-quality/countries": """
        select country_name, sum(net_revenue), sum(orders),
            sum(gross_revenue - discounts) / nullif(sum(orders), 0)
        from marts.geography_sales group by 1
    """,
    "operations-and-data-quality/rejects_now": """
        select landed_on, count(rejects.landed_on)
        from (select distinct landed_on from raw.loads where superseded_by is null) as days
        left join staging.stg_rejects as rejects using (landed_on) group by 1
    """,
    "operations-and-data-quality/reject_rules": """
        select source, rule, count(*) from staging.stg_rejects group by 1, 2
    """,
}


@pytest.mark.parametrize("chart", SAME_NUMBERS)
def test_a_chart_has_the_numbers_of_the_marts(
    viewer: httpx.Client, numbers: Numbers, owner: psycopg.Connection, chart: str
) -> None:
    params = ASSETS.charts[chart]["params"]
    metrics = metrics_of(params)
    shown = [[row[metric] for metric in metrics] for row in rows_of(viewer, numbers, chart)]
    expected = [row[-len(metrics) :] for row in owner.execute(SAME_NUMBERS[chart]).fetchall()]
    assert (
        len(expected) > 1 or chart.endswith("/customer_revenue") or chart.endswith("/by_currency")
    )
    assert rounded(shown) == rounded(expected)


def rounded(rows: list[Any]) -> list[tuple[Decimal | None, ...]]:
    """Sorted, with six decimals: JSON does not keep all digits."""
    values = [tuple(None if v is None else round(Decimal(str(v)), 6) for v in row) for row in rows]
    return sorted(values, key=lambda row: [(v is None, v or 0) for v in row])


OPERATORS = {"==": "= %s", "!=": "<> %s", ">": "> %s", "IN": "= any(%s)", "NOT IN": "<> all(%s)"}
PERIODS = {"P1D": "day", "P1W": "week", "P1M": "month"}


def sql_of(chart: str) -> tuple[str, list[Any]]:
    """The query that a chart's settings describe, and its parameters."""
    params, dataset = ASSETS.charts[chart]["params"], ASSETS.dataset_of(chart)
    definitions = {metric["metric_name"]: metric["expression"] for metric in dataset["metrics"]}
    times = {column["column_name"] for column in dataset["columns"] if column["is_dttm"]}
    grouped = params.get("groupby") or params.get("entity") or []
    columns = [
        *filter(None, [params.get("x_axis")]),
        *([grouped] if isinstance(grouped, str) else grouped),
    ]
    shown = [*columns]
    if (grain := params.get("time_grain_sqla")) and columns[0] in times:
        shown[0] = f"date_trunc('{PERIODS[grain]}', {columns[0]}) as {columns[0]}"
    shown += [f"{definitions[metric]} as {metric}" for metric in metrics_of(params)] or params[
        "all_columns"
    ]
    rules = [rule for rule in params["adhoc_filters"] if rule["operator"] != "TEMPORAL_RANGE"]
    conditions = [
        f"{rule['subject']} "
        + (OPERATORS[rule["operator"]] if "comparator" in rule else "is not null")
        for rule in rules
    ]
    query = f"select {', '.join(shown)} from ({query_of_dataset(dataset)}) as everything"
    query += f" where {' and '.join(conditions)}" if conditions else ""
    positions = ", ".join(str(number + 1) for number in range(len(columns)))
    query += f" group by {positions}" if columns else ""
    query += (
        f" order by {len(columns) + 1} desc limit {params.get('row_limit') or 'all'}"
        if metrics_of(params)
        else ""
    )
    return query, [rule["comparator"] for rule in rules if "comparator" in rule]


@pytest.mark.parametrize("chart", ASSETS.charts)
def test_a_chart_has_the_numbers_that_its_settings_ask_for(
    viewer: httpx.Client, numbers: Numbers, owner: psycopg.Connection, chart: str
) -> None:
    """How a chart aggregates the metrics of its data set; test_metrics checks the metrics."""
    query, values = sql_of(chart)
    cursor = owner.execute(query, values or None)
    names = [column.name for column in cursor.description or []]
    expected = [[as_number(value) for value in row] for row in cursor.fetchall()]
    found = [[as_number(row[name]) for name in names] for row in rows_of(viewer, numbers, chart)]
    tolerance = JUST_NOW if ASSETS.dataset_of(chart)["table_name"] == "source_freshness" else 1e-6
    assert len(found) == len(expected)
    for one, other in zip(sorted(found, key=repr), sorted(expected, key=repr), strict=True):
        assert one == pytest.approx(other, abs=tolerance)


def as_number(value: Any) -> Any:
    """Numbers and days as in Superset's JSON; text unchanged."""
    given = as_in_json(value)
    return float(given) if isinstance(given, int | Decimal) else given


def test_a_filter_narrows_a_chart_to_its_values(
    viewer: httpx.Client, numbers: Numbers, owner: psycopg.Connection
) -> None:
    most = "select country from marts.customer_summary group by 1 order by count(*) desc"
    (country,) = owner.execute(most).fetchone() or ()
    narrowed = {"filters": [{"col": "country", "op": "IN", "val": [country]}]}
    shown = [[row["mrr"]] for row in rows_of(viewer, numbers, "revenue/mrr_now", narrowed)]
    expected = owner.execute(
        "select sum(mrr) from marts.mrr join marts.customer_summary using (customer_id)"
        " where country = %s group by month_start",
        [country],
    ).fetchall()
    assert rounded(shown) == rounded(expected)


def emitted(chart: str) -> list[str]:
    """Columns by whose values a click on the chart filters the others."""
    params = ASSETS.charts[chart]["params"]
    times = {
        column["column_name"] for column in ASSETS.dataset_of(chart)["columns"] if column["is_dttm"]
    }
    group = params.get("groupby") or []
    shown = [params.get("x_axis"), *([group] if isinstance(group, str) else group)]
    return [column for column in shown if column and column not in times]


@pytest.mark.parametrize(
    "chart",
    [
        chart
        for chart in ASSETS.charts
        if emitted(chart) and ASSETS.dashboard_of(chart)["metadata"]["cross_filters_enabled"]
    ],
)
def test_a_click_on_a_chart_leaves_no_other_chart_empty(
    viewer: httpx.Client, numbers: Numbers, chart: str
) -> None:
    clicked = rows_of(viewer, numbers, chart)[0]
    for column in emitted(chart):
        narrowed = {"filters": [{"col": column, "op": "IN", "val": [clicked[column]]}]}
        for other in ASSETS.charts:
            known = {one["column_name"] for one in ASSETS.dataset_of(other)["columns"]}
            if (
                ASSETS.dashboard_of(other) is ASSETS.dashboard_of(chart)
                and other != chart
                and column in known
            ):
                rows = rows_of(viewer, numbers, other, narrowed)
                metrics = metrics_of(ASSETS.charts[other]["params"])
                assert any(row[metric] is not None for row in rows for metric in metrics), (
                    column,
                    other,
                )


@pytest.mark.parametrize("name", ASSETS.datasets)
def test_a_data_set_knows_its_columns(owner: psycopg.Connection, name: str) -> None:
    dataset = ASSETS.datasets[name]
    cursor = owner.execute(f"select * from ({query_of_dataset(dataset)}) as everything limit 0")
    present = {column.name for column in cursor.description or []}
    known = {column["column_name"] for column in dataset["columns"]}
    assert known <= present
    # The names of customers are not shown.
    assert present - known == ({"name"} if name == "customer_summary" else set())


STATE = """
from superset import db
from superset.models.dashboard import Dashboard, dashboard_slices
from superset.models.slice import Slice
from superset.connectors.sqla.models import SqlaTable, SqlMetric, TableColumn
from superset.models.core import Database

def state():
    rows = {}
    for model in (Database, SqlaTable, TableColumn, SqlMetric, Slice, Dashboard):
        moments = ("changed_on", "last_saved_at", "created_on")
        columns = [c for c in model.__table__.columns if c.name not in moments]
        rows[model.__name__] = sorted(map(repr, db.session.query(*columns).all()))
    pairs = (dashboard_slices.c.dashboard_id, dashboard_slices.c.slice_id)
    rows["on dashboards"] = sorted(map(repr, db.session.query(*pairs).all()))
    rows["roles"] = sorted((d.slug, [r.name for r in d.roles]) for d in db.session.query(Dashboard))
    return rows
"""


def test_an_import_changes_nothing_that_exists_and_removes_what_is_gone(
    superset: Superset, tmp_path: Path
) -> None:
    fewer = tmp_path / "assets"
    shutil.copytree(DIRECTORY / "assets", fewer)
    file = fewer / "dashboards/revenue.yaml"
    dashboard = yaml.safe_load(file.read_text())
    chart = ASSETS.charts["revenue/fx_effect"]
    (part,) = (
        k
        for k, v in dashboard["position"].items()
        if part_is_chart(v) and v["meta"]["uuid"] == chart["uuid"]
    )
    for entry in dashboard["position"].values():
        if isinstance(entry, dict) and part in entry.get("children", []):
            entry["children"].remove(part)
    del dashboard["position"][part]
    file.write_text(yaml.safe_dump(dashboard))
    (fewer / "charts/revenue/fx_effect.yaml").unlink()
    result = superset.inside(f"""{STATE}
from pathlib import Path
admin = bootstrap.ensure_users()
all_of_it = bootstrap.read_assets(bootstrap.ASSETS)
fewer = bootstrap.read_assets(Path({str(fewer)!r}))
before = state()
again = bootstrap.import_assets(all_of_it, admin)
after = state()
by_hand = Slice(slice_name="by hand", datasource_type="table", viz_type="table", params="{{}}")
db.session.add(by_hand)
db.session.commit()
removed = bootstrap.import_assets(fewer, admin)
charts = [str(chart.uuid) for chart in db.session.query(Slice)]
kept = db.session.query(Slice).filter_by(slice_name="by hand").count()
db.session.delete(by_hand)
bootstrap.import_assets(all_of_it, admin)
back = [str(chart.uuid) for chart in db.session.query(Slice)]
changed = [kind for kind in before if before[kind] != after[kind]]
result = dict(again=again, changed=changed, removed=removed, charts=charts, kept=kept, back=back)
""")
    assert result["again"] == []
    assert result["changed"] == []
    assert result["removed"] == [chart["slice_name"]]
    assert chart["uuid"] not in result["charts"]
    assert result["kept"] == 1
    assert set(result["back"]) == {chart["uuid"] for chart in ASSETS.charts.values()}
