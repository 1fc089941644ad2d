"""The pages of the quality report and of dbt's nodes: they show the data, and escape it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import jinja2
import pytest

from saas_analytics.quality import node_page
from saas_analytics.quality.quality_page import page
from saas_analytics.quality.rendering import points

DAY = "2026-03-04"
SECTIONS: dict[str, list[dict[str, Any]]] = {
    "run": [{"day": DAY, "run_id": "<script>", "warehouse": "shop"}],
    "outcomes": [
        {"kind": "model", "status": "success", "nodes": 40, "seconds": 12.5},
        {"kind": "test", "status": "fail", "nodes": 1, "seconds": 0.5},
    ],
    "failures": [
        {
            "node_id": "test.shop.orders_add_up",
            "status": "fail",
            "failures": 2,
            "message": "Got 2 results <script>alert(1)</script>",
            "first_rows": [{"order_id": "<u>1</u>", "email": "***"}],
        }
    ],
    "anomalies": [
        {
            "day": DAY,
            "metric": "rows.events",
            "value": 0.0,
            "lower": 90.0,
            "upper": 110.0,
            "score": -9.1,
            "reason": "No",
        }
    ],
    "volumes": [{"source": "events", "days": [["2026-03-03", 100.0, False], [DAY, 0.0, True]]}],
    "freshness": [{"source": "events", "age_hours": 30.0, "limit_hours": 26.0, "is_stale": True}],
    "completeness": [
        {
            "source": "events",
            "verdict": "rows are lost",
            "rows_in_manifest": 10,
            "rows_read": 9,
            "rows_landed": 9,
            "rows_rejected": 0,
            "rows_left_out": 0,
            "loads": 1,
        }
    ],
    "missing": [{"source": "orders"}],
    "rejects": [{"source": "events", "rule": "bad_timestamp", "rows": 3}],
    "drift": [],
    "reconciliations": [{"test": "orders_add_up", "status": "fail", "failures": 2, "seconds": 0.1}],
    "test_history": [
        {
            "test": "orders_add_up",
            "not_passed": 1,
            "runs": 2,
            "last_time": "2026-03-04 01:00:00",
            "last_runs": ["pass", "fail"],
        }
    ],
    "slowest": [
        {"node_id": "model.shop.orders", "seconds": 4.0, "rows_affected": 5, "usual_seconds": None}
    ],
}


def test_the_page_shows_every_section_and_escapes_what_it_shows() -> None:
    text = page(SECTIONS)
    assert "<script>" not in text and "Run &lt;script&gt;" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<u>1</u>" not in text and "&lt;u&gt;1&lt;/u&gt;" in text
    for shown in (
        "40 of 41",
        "rows are lost",
        "bad_timestamp",
        "first 1 row<",
        "orders add up",
        "stale",
        "<svg",
        "***",
    ):
        assert shown in text, shown
    assert "http" not in text  # nothing is loaded from elsewhere


def test_a_day_without_anything_has_a_page() -> None:
    empty: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS} | {
        "run": SECTIONS["run"]
    }
    assert "0 of 0" in page(empty)


def test_a_section_without_a_value_is_an_error_and_not_an_empty_cell() -> None:
    run = [{"day": DAY, "run_id": "1"}]
    with pytest.raises(jinja2.UndefinedError, match="warehouse"):
        page(SECTIONS | {"run": run})


def node(name: str, status: str, **values: object) -> dict[str, object]:
    empty = dict.fromkeys(("rows_affected", "failures", "message", "first_rows"))
    finished_at = datetime(2026, 3, 4, 1, 2, 3)
    base = {"node_id": name, "status": status, "seconds": 1.25, "finished_at": finished_at}
    return {**empty, **base, **values}


NODES = [
    node("model.shop.orders", "success", rows_affected=1200),
    node(
        *("test.shop.orders_add_up", "fail"),
        failures=2,
        message="Got 2 results <script>",
        first_rows=[{"order_id": "<u>1</u>"}],
    ),
]


def test_the_page_of_nodes_shows_every_node_and_escapes_what_it_shows() -> None:
    text = node_page.page(NODES, "shop", "<i>run</i>", is_running=True)
    assert not [tag for tag in ("<script>", "<u>", "<i>") if tag in text]
    for shown in (
        "&lt;i&gt;run&lt;/i&gt;",
        "1 of 2 nodes passed",
        "The run goes on.",
        "http-equiv=refresh",
        "1,200",
        "01:02:03",
        "Got 2 results &lt;script&gt;",
        "first 1 row<",
        "&lt;u&gt;1&lt;/u&gt;",
    ):
        assert shown in text, shown


def test_the_page_of_an_ended_run_does_not_reload() -> None:
    text = node_page.page([], "shop", "run")
    assert "0 of 0" in text and "refresh" not in text and "goes on" not in text


def test_a_sparkline_reaches_from_the_bottom_to_the_top() -> None:
    days = [("2026-03-02", 0.0, False), ("2026-03-03", 5.0, False), ("2026-03-04", 10.0, True)]
    assert points(days, 260, 34) == [(0, 31), (130, 17), (260, 3)]
    assert points([(DAY, 0.0, False)], 260, 34) == [(0, 31)]
    assert points([], 260, 34) == []
